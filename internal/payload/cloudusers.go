package payload

import (
	"cmp"

	"github.com/coreos/ignition/v2/config/v3_5/types"
)

// cloudUser is one entry of users.
type cloudUser struct {
	Name         string   `yaml:"name"`
	Gecos        string   `yaml:"gecos,omitempty"`
	HomeDir      string   `yaml:"homedir,omitempty"`
	Shell        string   `yaml:"shell,omitempty"`
	UID          *int     `yaml:"uid,omitempty"`
	System       bool     `yaml:"system,omitempty"`
	PrimaryGroup string   `yaml:"primary_group,omitempty"`
	Groups       []string `yaml:"groups,omitempty"`
	NoCreateHome bool     `yaml:"no_create_home,omitempty"`
	NoUserGroup  bool     `yaml:"no_user_group,omitempty"`
	NoLogInit    bool     `yaml:"no_log_init,omitempty"`
	LockPasswd   bool     `yaml:"lock_passwd"`
	Passwd       string   `yaml:"passwd,omitempty"`
	SSHKeys      []string `yaml:"ssh_authorized_keys,omitempty"`
}

// cloudUsers are the groups and users of a config. Without any, no user is made:
// not even the distribution's default one, which an absent list would bring. The
// schema refuses an empty list, so root stands in it, whose password stays locked.
func cloudUsers(p types.Passwd) ([]string, []cloudUser) {
	var groups []string
	for _, g := range p.Groups {
		groups = append(groups, g.Name)
	}
	var users []cloudUser
	for _, u := range p.Users {
		c := cloudUser{
			Name: u.Name, Gecos: value(u.Gecos), HomeDir: value(u.HomeDir), Shell: cmp.Or(value(u.Shell), "/bin/bash"),
			UID: u.UID, System: value(u.System), PrimaryGroup: value(u.PrimaryGroup),
			NoCreateHome: value(u.NoCreateHome), NoUserGroup: value(u.NoUserGroup), NoLogInit: value(u.NoLogInit),
			LockPasswd: value(u.PasswordHash) == "", Passwd: value(u.PasswordHash),
		}
		for _, g := range u.Groups {
			c.Groups = append(c.Groups, string(g))
		}
		for _, k := range u.SSHAuthorizedKeys {
			c.SSHKeys = append(c.SSHKeys, string(k))
		}
		users = append(users, c)
	}
	if len(users) == 0 {
		users = []cloudUser{{Name: "root", LockPasswd: true}}
	}
	return groups, users
}
