package node

import (
	"encoding/json"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/imgforge/imgforge/internal/node/userdata"
)

// metadataService stands in for a provider's: a fake, since the real one answers
// only servers of the provider. It refuses what the real one refuses: EC2's a
// question without a token or a token without a life time, Scaleway's and Nova's
// everything but their own paths.
type metadataService struct {
	*httptest.Server
	provider string
	tags     map[string]string
	userData string
	down     bool // the network is not up yet
	asked    int
}

func newMetadataService(t *testing.T, provider string, tags map[string]string) *metadataService {
	s := &metadataService{provider: provider, tags: tags}
	mux := http.NewServeMux()
	switch provider {
	case "scaleway":
		mux.HandleFunc("GET /conf", s.scaleway)
		mux.HandleFunc("GET /user_data/cloud-init", s.privileged)
	case "ec2":
		mux.HandleFunc("PUT /latest/api/token", s.token)
		mux.HandleFunc("GET /latest/meta-data/tags/instance/{tag}", s.ec2)
		mux.HandleFunc("GET /latest/user-data", s.withToken)
	case "openstack":
		mux.HandleFunc("GET /openstack/latest/meta_data.json", s.nova)
		mux.HandleFunc("GET /openstack/latest/user_data", s.giveUserData)
	case "exoscale":
		mux.HandleFunc("GET /1.0/user-data", s.giveUserData)
	case "hetzner":
		mux.HandleFunc("GET /hetzner/v1/userdata", s.giveUserData)
	}
	s.Server = httptest.NewServer(mux)
	t.Cleanup(s.Close)
	return s
}

// ofUserData is how the machine's claim finds the service that has user-data.
func (m *machine) ofUserData(provider string) (userdata.Service, bool) {
	real, ok := userdata.Of(provider)
	if !ok || m.service == nil {
		return userdata.Service{}, false
	}
	real.URLs = []string{m.service.URL}
	if m.service.down {
		real.URLs = []string{"http://127.0.0.1:1"}
	}
	return real, true
}

func (s *metadataService) giveUserData(w http.ResponseWriter, r *http.Request) {
	s.asked++
	if s.userData == "" {
		http.NotFound(w, r)
		return
	}
	w.Write([]byte(s.userData))
}

// privileged refuses who asks from a port that anybody may have, as Scaleway does.
func (s *metadataService) privileged(w http.ResponseWriter, r *http.Request) {
	_, port, _ := net.SplitHostPort(r.RemoteAddr)
	if n, err := strconv.Atoi(port); err != nil || n >= 1024 {
		http.Error(w, "Forbidden", http.StatusForbidden)
		return
	}
	s.giveUserData(w, r)
}

func (s *metadataService) withToken(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("X-aws-ec2-metadata-token") != "AQAEAExample==" {
		http.Error(w, "Unauthorized", http.StatusUnauthorized)
		return
	}
	s.giveUserData(w, r)
}

// metadata is how the machine's claim finds the service.
func (m *machine) metadata(provider string) (metadata, bool) {
	real, ok := metadataOf(provider)
	if !ok || m.service == nil {
		return metadata{}, false
	}
	real.urls = []string{m.service.URL}
	if m.service.down {
		gone := httptest.NewServer(nil)
		gone.Close()
		real.urls = []string{gone.URL}
	}
	return real, true
}

func (s *metadataService) scaleway(w http.ResponseWriter, r *http.Request) {
	s.asked++
	if r.URL.Query().Get("format") != "json" {
		w.Write([]byte("ID=11111111-1111-1111-1111-111111111111\nTAGS=0\n"))
		return
	}
	conf := map[string]any{"id": "11111111-1111-1111-1111-111111111111", "name": "scw-7", "hostname": "scw-7",
		"commercial_type": "GP1-M", "location": map[string]string{"zone_id": "par1"}, "tags": []string{"web", "imgforge.nodes=all"}}
	for _, name := range slices.Sorted(maps.Keys(s.tags)) {
		conf["tags"] = append(conf["tags"].([]string), name+"="+s.tags[name])
	}
	json.NewEncoder(w).Encode(conf)
}

func (s *metadataService) token(w http.ResponseWriter, r *http.Request) {
	s.asked++
	ttl, err := strconv.Atoi(r.Header.Get("X-aws-ec2-metadata-token-ttl-seconds"))
	switch {
	case r.Header.Get("X-Forwarded-For") != "":
		http.Error(w, "Forbidden", http.StatusForbidden)
	case err != nil || ttl < 1 || ttl > 21600:
		http.Error(w, "Bad Request", http.StatusBadRequest)
	default:
		w.Write([]byte("AQAEAExample=="))
	}
}

func (s *metadataService) ec2(w http.ResponseWriter, r *http.Request) {
	s.asked++
	if r.Header.Get("X-aws-ec2-metadata-token") != "AQAEAExample==" {
		http.Error(w, "Unauthorized", http.StatusUnauthorized)
		return
	}
	value, ok := s.tags[r.PathValue("tag")]
	if !ok {
		http.NotFound(w, r)
		return
	}
	w.Write([]byte(value))
}

func (s *metadataService) nova(w http.ResponseWriter, _ *http.Request) {
	s.asked++
	data := map[string]any{"uuid": "83679162-1378-4288-a2d4-70e13ec132aa", "name": "server-7", "hostname": "server-7.novalocal", "launch_index": 0}
	if s.tags != nil {
		data["meta"] = s.tags
	}
	json.NewEncoder(w).Encode(data)
}

// A service that answers nonsense, too much, or a redirect is as good as none.
func TestMetadataServiceThatIsNone(t *testing.T) {
	for name, answer := range map[string]http.HandlerFunc{
		"a page":     func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte("<html>log in</html>")) },
		"a refusal":  func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusForbidden) },
		"a redirect": func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/elsewhere", http.StatusFound) },
		"a flood": func(w http.ResponseWriter, _ *http.Request) {
			w.Write([]byte(`{"tags": ["` + strings.Repeat("x", maxMetadata) + `"], "meta": {}}`))
		},
	} {
		s := httptest.NewServer(answer)
		t.Cleanup(s.Close)
		for _, provider := range []string{"scaleway", "openstack"} {
			if hints, err := (metadata{provider, []string{s.URL}}).hints(t.Context()); err == nil || len(hints) > 0 {
				t.Errorf("%s of %s is taken as an answer: %v", name, provider, hints)
			}
		}
	}
	good := newMetadataService(t, "ec2", map[string]string{tagName: "worker-1"})
	if hints, err := (metadata{"ec2", []string{"http://127.0.0.1:1", good.URL}}).hints(t.Context()); err != nil || len(hints) != 1 {
		t.Errorf("the second address is not asked: %v, %v", hints, err)
	}
}

// What is no JSON is called that, with the status and without what it says: it goes to a console.
func TestMetadataThatIsNoJSON(t *testing.T) {
	for _, page := range []string{"this is no service: token=SECRET", `{"tags": ["imgforge.node=wor`, ""} {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte(page)) }))
		t.Cleanup(s.Close)
		_, err := metadata{"scaleway", []string{s.URL}}.hints(t.Context())
		if want := "the metadata service of scaleway tells no tags: it answers something that is no JSON, with status 200"; err == nil || err.Error() != want {
			t.Errorf("%q: %v", page, err)
		}
	}
}
