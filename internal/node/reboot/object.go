package reboot

import (
	"encoding/json"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/imgforge/imgforge/internal/artifact"
	"github.com/imgforge/imgforge/internal/node/api"
)

// Annotations of a Node. The first is the node's own word, the second an operator's;
// the others are the guard's.
const (
	dueKey     = "imgforge.io/reboot-due"      // boot id and reason
	requestKey = "imgforge.io/reboot"          // now, or anything for the next window
	oursKey    = "imgforge.io/reboot-cordoned" // by the guard
	grantedKey = "imgforge.io/reboot-granted"  // boot id and until when
	restKey    = "imgforge.io/reboot-rest"     // until when, code and why
)

// Annotations of the Lease.
const (
	phaseKey  = "imgforge.io/phase"
	bootKey   = "imgforge.io/boot"
	untilKey  = "imgforge.io/until"
	endingKey = "imgforge.io/ending"
)

type metadata struct {
	Name        string            `json:"name"`
	Namespace   string            `json:"namespace"`
	UID         string            `json:"uid"`
	Version     string            `json:"resourceVersion"`
	Annotations map[string]string `json:"annotations"`
	Owners      []struct {
		Kind       string `json:"kind"`
		Controller bool   `json:"controller"`
	} `json:"ownerReferences"`
	Deleted string `json:"deletionTimestamp"`
}

// machine is what is read of a Node.
type machine struct {
	Metadata metadata `json:"metadata"`
	Spec     struct {
		Unschedulable bool `json:"unschedulable"`
	} `json:"spec"`
	Status struct {
		Conditions []struct{ Type, Status string } `json:"conditions"`
		Info       struct {
			BootID string `json:"bootID"`
		} `json:"nodeInfo"`
	} `json:"status"`
}

func nodeRef(name string) api.Ref { return api.Ref{APIVersion: "v1", Kind: "Node", Name: name} }

// node is the machine in the words of a decision. What an annotation says of an
// earlier boot is over.
func (m machine) node(of artifact.ClusterNode, zone *time.Location, now time.Time) Node {
	note := m.Metadata.Annotations
	n := Node{Name: of.Name, Role: of.Role, Boot: m.Status.Info.BootID, Cordoned: m.Spec.Unschedulable}
	for _, c := range m.Status.Conditions {
		n.Ready = n.Ready || c.Type == "Ready" && c.Status == "True"
	}
	if boot, why, _ := strings.Cut(note[dueKey], " "); boot == n.Boot && boot != "" {
		n.Due = plain(why)
	}
	if request, there := note[requestKey]; there {
		n.Due, n.Now = "an operator asks for it", request == "now"
	}
	// The reason that an operator gave on the machine itself.
	n.Now = n.Now || n.Due == reasonNow
	_, n.Ours = note[oursKey]
	_, n.Granted = note[grantedKey]
	if of.Window != nil {
		n.Windowed = true
		n.Closes, n.Open = closes(*of.Window, zone, now)
	}
	until, ending, _ := strings.Cut(note[restKey], " ")
	n.RestsUntil, _ = time.Parse(time.RFC3339, until) // what cannot be read has ended
	n.RestsFor = parseEnding(ending)
	return n
}

// plain keeps what a node wrote from steering a master's console, or filling it.
func plain(text string) string {
	text = strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return '?'
	}, text)
	return text[:min(len(text), 80)]
}

func (e Ending) String() string { return strconv.Itoa(e.Code) + " " + e.Why }

func parseEnding(text string) (e Ending) {
	code, why, _ := strings.Cut(text, " ")
	e.Code, _ = strconv.Atoi(code)
	e.Why = why
	return e
}

// change is a merge patch that fails when somebody else changed the node since.
func (m machine) change(notes map[string]any, spec map[string]any) []byte {
	patch := map[string]any{"metadata": map[string]any{"resourceVersion": m.Metadata.Version, "uid": m.Metadata.UID, "annotations": notes}}
	if spec != nil {
		patch["spec"] = spec
	}
	return body(patch)
}

// body is an object of this package as JSON; maps of texts always have one.
func body(v any) []byte {
	out, _ := json.Marshal(v)
	return out
}

// lease is what is read and written of the Lease.
type lease struct {
	APIVersion string         `json:"apiVersion"`
	Kind       string         `json:"kind"`
	Metadata   map[string]any `json:"metadata"`
	Spec       map[string]any `json:"spec"`
}

func leaseRef() api.Ref {
	return api.Ref{APIVersion: "coordination.k8s.io/v1", Kind: "Lease", Namespace: "kube-system", Name: "imgforge-reboot"}
}

func (l lease) note(key string) string {
	notes, _ := l.Metadata["annotations"].(map[string]any)
	text, _ := notes[key].(string)
	return text
}

func (l lease) lock() Lock {
	holder, _ := l.Spec["holderIdentity"].(string)
	until, _ := time.Parse(time.RFC3339, l.note(untilKey))
	return Lock{Holder: holder, Phase: Phase(l.note(phaseKey)), Boot: l.note(bootKey), Until: until, Ending: parseEnding(l.note(endingKey))}
}

// with is the lease with another lock; labels and annotations of users stay.
func (l lease) with(k Lock, now time.Time) []byte {
	ref := leaseRef()
	l.APIVersion, l.Kind = ref.APIVersion, ref.Kind
	if l.Metadata == nil {
		l.Metadata = map[string]any{"name": ref.Name, "namespace": ref.Namespace}
	}
	notes, _ := l.Metadata["annotations"].(map[string]any)
	if notes == nil {
		notes = map[string]any{}
	}
	for key, text := range map[string]string{phaseKey: string(k.Phase), bootKey: k.Boot, untilKey: k.Until.UTC().Format(time.RFC3339), endingKey: k.Ending.String()} {
		notes[key] = text
	}
	l.Metadata["annotations"] = notes
	l.Spec = map[string]any{"holderIdentity": k.Holder, "leaseDurationSeconds": int((grant + away) / time.Second),
		"renewTime": now.UTC().Format("2006-01-02T15:04:05.000000Z07:00")}
	return body(l)
}
