package artifact

import (
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestStatusFileRoundTrip(t *testing.T) {
	at := time.Date(2026, 11, 21, 15, 0, 0, 0, time.UTC)
	s := StatusFile{Schema: StatusSchema, Cluster: "nostromo", Node: "master-1", Role: "master", Slot: 1, Address: "192.168.66.11", Kubernetes: "1.36.3", Helper: "v1.0.0", Time: at, Boot: at,
		Steps: []StatusStep{{Step: "mesh", State: "failed", Code: 303, Text: "why", Since: at}}, Codes: []int{303},
		VRRP: []StatusVRRP{{Type: "INSTANCE", Name: "imgforge", State: "MASTER", Priority: 150}}, Leaves: []StatusLeaf{{Path: "/x.crt", NotAfter: at, Renewed: true}}, LatestBoot: at}
	text, err := EncodeStatusFile(s)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := ParseStatusFile(text); err != nil || !reflect.DeepEqual(got, s) {
		t.Errorf("parsed %+v (%v)", got, err)
	}
	newer := strings.Replace(string(text), "{", `{"later": 1,`, 1)
	if got, err := ParseStatusFile([]byte(newer)); err != nil || got.Node != "master-1" {
		t.Errorf("a newer helper: %+v (%v)", got, err)
	}
	for _, text := range []string{"", "{}", `{"schema": "imgforge/status/v2"}`, "404 page not found"} {
		if _, err := ParseStatusFile([]byte(text)); err == nil {
			t.Errorf("%q passes", text)
		}
	}
}
