package fake_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/imgforge/imgforge/internal/scaleway/fake"
)

const (
	zone   = "/instance/v1/zones/fr-par-1"
	mine   = `"project":"` + fake.Project + `"`
	absent = "55555555-5555-4555-8555-555555555555"
)

// What the real APIs refuse, as far as it is known, is refused here.
func TestRefusals(t *testing.T) {
	api := fake.New()
	api.Bucket("far", "nl-ams", map[string][]byte{"disk": []byte("QFI\xfb")})
	api.Bucket("near", "fr-par", map[string][]byte{"text": []byte("this is no disk of any kind, is it?")})
	full := api.Stranger("full")
	for range 5 {
		api.Attach(api.Reserve(), "full")
	}
	sixth := api.Reserve()
	existing := api.Inventory()
	server := httptest.NewServer(api)
	defer server.Close()
	const imports = "/block/v1/zones/fr-par-1/snapshots/import-from-object-storage"
	for name, test := range map[string]struct {
		method, path, body string
		status             int
		says               string
	}{
		"user-data of a server to be made": {"POST", zone + "/servers", `{` + mine + `,"user_data":{"cloud-init":"x"}}`, 400, `unknown field \"user_data\"`},
		"a server without a project":       {"POST", zone + "/servers", `{"name":"x"}`, 400, "required key not provided"},
		"a server in another project":      {"POST", zone + "/servers", `{"project":"` + absent + `"}`, 403, "unknown project"},
		"an unknown image":                 {"POST", zone + "/servers", `{` + mine + `,"commercial_type":"X","image":"` + absent + `"}`, 404, "image not found"},
		"a boot volume without a name": {"POST", zone + "/servers", `{` + mine + `,"commercial_type":"X","image":"` + fake.ImageID + `","volumes":{"0":{"volume_type":"sbs_volume","size":1}}}`,
			400, "name and size are required"},
		"a local volume where there is none": {"POST", zone + "/servers", `{` + mine + `,"commercial_type":"X","image":"` + fake.ImageID + `","volumes":{"0":{"volume_type":"b_ssd"}}}`, 400, "not supported"},
		"an unknown server":                  {"GET", zone + "/servers/" + absent, "", 404, "not found"},
		"another zone":                       {"PATCH", "/instance/v1/zones/fr-par-2/ips/" + absent, `{"server":"` + absent + `"}`, 404, "unknown zone"},
		"a sixth address at one server":      {"PATCH", zone + "/ips/" + sixth, `{"server":"` + full + `"}`, 400, "has 5 routed addresses already"},
		"an import by the Instance API":      {"POST", zone + "/snapshots", `{"bucket":"b","key":"k"}`, 400, "Block Storage API"},
		"an import from another region":      {"POST", imports, `{"project_id":"` + fake.Project + `","bucket":"far","key":"disk"}`, 400, "no bucket of fr-par"},
		"an import of what is not there":     {"POST", imports, `{"project_id":"` + fake.Project + `","bucket":"near","key":"x"}`, 400, "no object"},
		"an import of what is no disk":       {"POST", imports, `{"project_id":"` + fake.Project + `","bucket":"near","key":"text"}`, 400, "no qcow2"},
		"an import into another project":     {"POST", imports, `{"project_id":"` + absent + `","bucket":"near","key":"text"}`, 403, "unknown project"},
		"an import without a project":        {"POST", imports, `{"bucket":"near","key":"text"}`, 400, "required key"},
		"an image of no snapshot":            {"POST", zone + "/images", `{` + mine + `,"arch":"x86_64","root_volume":"` + absent + `"}`, 404, "not found"},
		"an image of no architecture":        {"POST", zone + "/images", `{` + mine + `,"arch":"amd64","root_volume":"` + absent + `"}`, 400, "Validation Error"},
		"a list of another project":          {"GET", zone + "/servers?project=" + absent, "", 403, "unknown project"},
		"a booking for a resource":           {"POST", "/ipam/v1/regions/fr-par/ips", `{"project_id":"` + fake.Project + `","resource":{"mac_address":"02:00:00:00:00:01"}}`, 400, "resource"},
		"a booked address with a mask":       {"POST", "/ipam/v1/regions/fr-par/ips", `{"project_id":"` + fake.Project + `","address":"10.0.0.1/24"}`, 400, "invalid IP address"},
		"a booking without a network":        {"POST", "/ipam/v1/regions/fr-par/ips", `{"project_id":"` + fake.Project + `"}`, 400, "source"},
		"another region":                     {"GET", "/vpc/v2/regions/nl-ams/private-networks?project_id=" + fake.Project, "", 404, "unknown region"},
	} {
		status, text := call(t, server.URL, test.method, test.path, test.body, fake.SecretKey)
		if status != test.status || !strings.Contains(text, test.says) {
			t.Errorf("%s: %d %s", name, status, text)
		}
	}
	if status, text := call(t, server.URL, "GET", zone+"/servers?project="+fake.Project, "", "wrong"); status != http.StatusUnauthorized {
		t.Errorf("a wrong key: %d %s", status, text)
	}
	if got := api.Inventory(); !slices.Equal(got, existing) {
		t.Errorf("refused, and made: %v", got)
	}
}

// A first boot without user-data is lost at the provider too, so it is allowed and seen.
func TestPowerOnWithoutUserData(t *testing.T) {
	api := fake.New()
	server := httptest.NewServer(api)
	defer server.Close()
	status, text := call(t, server.URL, "POST", zone+"/servers", `{`+mine+`,"name":"bare","commercial_type":"X","image":"`+fake.ImageID+`"}`, fake.SecretKey)
	_, id, _ := strings.Cut(text, `"id":"`)
	if status != http.StatusOK || len(id) < len(absent) {
		t.Fatalf("%d %s", status, text)
	}
	call(t, server.URL, "POST", zone+"/servers/"+id[:len(absent)]+"/action", `{"action":"poweron"}`, fake.SecretKey)
	if m := api.Mistakes(); len(m) != 1 || m[0] != "bare was powered on without user-data" {
		t.Errorf("seen: %q", m)
	}
}

func call(t *testing.T, base, method, path, body, key string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, base+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("X-Auth-Token", key)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if res.Header.Get(fake.Header) == "" {
		t.Error("the answer does not say that it is a fake's")
	}
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(text)
}
