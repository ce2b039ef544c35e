package payload

import (
	"slices"
	"strings"

	"github.com/coreos/ignition/v2/config/v3_5/types"
)

// units puts units, drop-ins, masks and the preset where Ignition's engine puts
// them. A mask takes the place of contents; drop-ins stay.
func (t *tree) units(units []types.Unit) {
	for _, u := range units {
		path := unitDir + "/" + u.Name
		for _, d := range u.Dropins {
			if d.Contents != nil {
				t.unitFile(path+".d/"+d.Name, *d.Contents)
			}
		}
		switch {
		case value(u.Mask):
			t.masks = true
			t.prepare = append(t.prepare, "mkdir -p "+unitDir, "rm -rf "+quote(path), "ln -s "+nullDevice+" "+quote(path))
		case value(u.Contents) != "":
			t.unitFile(path, *u.Contents)
		case u.Mask != nil:
			t.prepare = append(t.prepare, `[ "$(readlink `+quote(path)+`)" != `+nullDevice+" ] || rm "+quote(path))
		}
	}
	if preset := enablePreset(units); preset != "" && len(disabled(units)) == 0 {
		t.unitFile(presetPath, preset)
	}
}

func (t *tree) unitFile(path, contents string) {
	t.replace = append(t.replace, path)
	t.write(path, 0o644, types.Node{}, []byte(contents))
}

// preset is one line of Ignition's preset file.
type preset struct {
	unit      string // the template of an instance
	instances []string
	enable    bool
}

func (p preset) words() string { return strings.Join(append([]string{p.unit}, p.instances...), " ") }

// presets are the lines of Ignition's preset file in its order: by unit, with
// the instances of a template on one line.
func presets(units []types.Unit) []preset {
	byKey := map[string]*preset{}
	var keys []string
	for _, u := range units {
		if u.Enabled == nil {
			continue
		}
		template, instance, isInstance := instanceOf(u.Name)
		key := template + "-disabled"
		if *u.Enabled {
			key = template + "-enabled"
		}
		if byKey[key] == nil {
			byKey[key] = &preset{unit: template, enable: *u.Enabled}
			keys = append(keys, key)
		}
		if isInstance {
			byKey[key].instances = append(byKey[key].instances, instance)
		}
	}
	slices.Sort(keys)
	out := make([]preset, len(keys))
	for i, k := range keys {
		out[i] = *byKey[k]
	}
	return out
}

// instanceOf splits echo@foo.service into echo@.service and foo. A template is
// its own instance with no name, as Ignition sees it.
func instanceOf(unit string) (template, instance string, ok bool) {
	at, dot := strings.Index(unit, "@"), strings.LastIndex(unit, ".")
	if at < 0 || dot <= at {
		return unit, "", false
	}
	return unit[:at+1] + unit[dot:], unit[at+1 : dot], true
}

// isTemplate tells of a unit that cannot run without an instance.
func isTemplate(unit string) bool { return strings.Contains(unit, "@.") }

func enablePreset(units []types.Unit) string {
	var b strings.Builder
	for _, p := range presets(units) {
		if p.enable {
			b.WriteString("enable " + p.words() + "\n")
		}
	}
	return b.String()
}

// disabled are the units to disable. Ignition passes the instances of a
// template as one word, which systemctl refuses: they stay as they are.
func disabled(units []types.Unit) []string {
	var out []string
	for _, p := range presets(units) {
		if !p.enable && len(p.instances) == 0 {
			out = append(out, p.unit)
		}
	}
	return out
}

// presetScript writes the preset when units are disabled: Ignition names those
// alone that the image has enabled, which only the node can tell.
func presetScript(units []types.Unit) string {
	if len(disabled(units)) == 0 {
		return ""
	}
	lines := []string{"p=" + presetPath, "mkdir -p ${p%/*}", "rm -f $p"}
	for _, p := range presets(units) {
		switch {
		case p.enable:
			lines = append(lines, "echo "+quote("enable "+p.words())+" >>$p")
		case len(p.instances) == 0:
			u := quote(p.unit)
			lines = append(lines, "if systemctl is-enabled --quiet "+u+"; then systemctl disable "+u+
				"; echo "+quote("disable "+p.unit)+" >>$p; fi")
		}
	}
	return strings.Join(lines, "\n") + "\n"
}

// runCommands bring the node from files to running units. They run at the end
// of the first boot, while that boot's own job waits for them: nothing that
// they start may be waited for.
func runCommands(t *tree, units []types.Unit) [][]string {
	var cmds [][]string
	if len(t.finish) > 0 {
		cmds = append(cmds, []string{"sh", "-uc", "umask 022\n" + strings.Join(t.finish, "\n") + "\n"})
	}
	cmds = append(cmds, rereads(t.writes, t.fetches)...)
	if len(units) == 0 {
		return cmds
	}
	cmds = append(cmds, []string{"systemctl", "daemon-reload"})
	if s := presetScript(units); s != "" {
		cmds = append(cmds, []string{"sh", "-uc", s})
	}
	var enabled, changed, masked []string
	for _, u := range units {
		switch {
		case isTemplate(u.Name):
			continue
		case value(u.Mask):
			masked = append(masked, u.Name)
			continue
		case value(u.Enabled):
			enabled = append(enabled, u.Name)
		}
		if value(u.Contents) != "" || len(u.Dropins) > 0 {
			changed = append(changed, u.Name)
		}
	}
	for _, u := range enabled {
		// One by one: systemctl stops at the first unit that does not exist.
		cmds = append(cmds, []string{"systemctl", "preset", u})
	}
	if len(masked) > 0 {
		// Waited for, so that what stopping does cannot undo what starting does.
		cmds = append(cmds, append([]string{"timeout", "60", "systemctl", "stop"}, masked...))
	}
	for _, c := range [...]struct {
		verb  string
		units []string
	}{{"try-restart", changed}, {"start", enabled}} {
		if len(c.units) > 0 {
			cmds = append(cmds, append([]string{"systemctl", c.verb, "--no-block"}, c.units...))
		}
	}
	return cmds
}

// rereads are the commands for services that read their configuration before
// cloud-init writes it. Ignition writes before any of them starts.
func rereads(writes []writeFile, fetches []fetch) [][]string {
	var paths []string
	for _, w := range writes {
		paths = append(paths, w.Path)
	}
	for _, f := range fetches {
		paths = append(paths, f.path)
	}
	var cmds [][]string
	for _, r := range [...]struct {
		prefixes []string
		cmd      []string
	}{
		{[]string{"/etc/extensions/", "/var/lib/extensions/", "/etc/confexts/", "/var/lib/confexts/"}, []string{"systemd-sysext", "refresh"}},
		{[]string{"/etc/sysusers.d/"}, []string{"systemd-sysusers"}},
		{[]string{"/etc/tmpfiles.d/"}, []string{"systemd-tmpfiles", "--create"}},
		{[]string{"/etc/modules-load.d/"}, []string{"systemctl", "restart", "systemd-modules-load.service"}},
		{[]string{"/etc/sysctl.d/", "/etc/sysctl.conf"}, []string{"systemctl", "restart", "systemd-sysctl.service"}},
		{[]string{"/etc/udev/rules.d/"}, []string{"udevadm", "control", "--reload"}},
		{[]string{"/etc/systemd/journald.conf"}, []string{"systemctl", "try-restart", "systemd-journald.service"}},
		{[]string{"/etc/systemd/resolved.conf"}, []string{"systemctl", "try-restart", "systemd-resolved.service"}},
		{[]string{"/etc/systemd/timesyncd.conf"}, []string{"systemctl", "try-restart", "systemd-timesyncd.service"}},
		{[]string{"/etc/chrony/"}, []string{"systemctl", "try-restart", "chrony.service"}},
		{[]string{"/etc/systemd/networkd.conf"}, []string{"systemctl", "try-restart", "systemd-networkd.service"}},
		{[]string{"/etc/systemd/network/"}, []string{"networkctl", "reload"}},
	} {
		if slices.ContainsFunc(paths, func(p string) bool {
			return slices.ContainsFunc(r.prefixes, func(prefix string) bool { return strings.HasPrefix(p, prefix) })
		}) {
			cmds = append(cmds, r.cmd)
		}
	}
	return cmds
}
