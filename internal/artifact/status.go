package artifact

import (
	"encoding/json"
	"fmt"
	"time"
)

// StatusPort is where every node serves its status inside the cluster network.
const StatusPort = 9440

// Paths of the status page: for programs and for people.
const (
	StatusPath     = "/status.json"
	StatusTextPath = "/"
)

// StatusReaders is the group of client certificates that may read the status and,
// having no rights in Kubernetes, do nothing else.
const StatusReaders = "imgforge:status-readers"

// StatusSchema names the form of [StatusFile].
const StatusSchema = "imgforge/status/v1"

// StatusFile is what a node tells of itself. It holds no secret. All times are UTC.
type StatusFile struct {
	Schema     string `json:"schema"`
	Cluster    string `json:"cluster"`
	Node       string `json:"node"`
	Role       string `json:"role"` // master | proxy | worker
	Slot       int    `json:"slot"` // from 1
	Address    string `json:"address"`
	Kubernetes string `json:"kubernetes"` // version that the payload was made for
	Helper     string `json:"helper"`     // version of imgforge-node

	Time time.Time `json:"time"` // the node's clock when it answered
	Boot time.Time `json:"boot"` // when its first process started; zero when unknown

	// Steps are the last words of the steps of the boot, in their order. A step
	// that has not said anything yet is not in it.
	Steps []StatusStep `json:"steps"`
	// Codes are the numbers of all boot codes and warnings among the steps.
	Codes []int `json:"codes"`

	VRRP []StatusVRRP `json:"vrrp,omitempty"` // where keepalived runs
	// Leaves are the node's certificates, by path; LatestBoot is the earliest
	// NotAfter of those that the payload brought: the last instant at which this
	// node can boot. It is zero when none can be read.
	Leaves     []StatusLeaf `json:"leaves"`
	LatestBoot time.Time    `json:"latestBoot"`

	// Unread says in words what of this could not be found out.
	Unread []string `json:"unread,omitempty"`
}

// StatusStep is the last word of one step.
type StatusStep struct {
	Step  string    `json:"step"`
	State string    `json:"state"` // waiting | failed | warning | done
	Code  int       `json:"code,omitempty"`
	Text  string    `json:"text"`
	Since time.Time `json:"since"`
}

// StatusVRRP is the last state that keepalived told of an instance or group.
type StatusVRRP struct {
	Type     string `json:"type"` // INSTANCE | GROUP
	Name     string `json:"name"`
	State    string `json:"state"` // MASTER | BACKUP | FAULT | STOP
	Priority int    `json:"priority,omitempty"`
}

// StatusLeaf is one certificate of the node.
type StatusLeaf struct {
	Path     string    `json:"path"`
	NotAfter time.Time `json:"notAfter"`
	// Renewed tells that the node renews it by itself, so that its end stops nothing.
	Renewed bool `json:"renewed,omitempty"`
}

// EncodeStatusFile is the text of the status page for programs.
func EncodeStatusFile(s StatusFile) ([]byte, error) { return indentJSON(s) }

// ParseStatusFile reads what a node answered. Fields that it does not know are
// those of a newer helper, and passed over; another schema is refused.
func ParseStatusFile(data []byte) (StatusFile, error) {
	var s StatusFile
	if err := json.Unmarshal(data, &s); err != nil {
		return StatusFile{}, fmt.Errorf("parse status: %w", err)
	}
	if s.Schema != StatusSchema {
		return StatusFile{}, fmt.Errorf("parse status: its schema is %q, not %q: it is from another version of imgforge-node, or not from one", s.Schema, StatusSchema)
	}
	return s, nil
}
