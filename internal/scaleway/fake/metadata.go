package fake

import (
	"io"
	"net"
	"net/http"
	"strconv"

	"github.com/scaleway/scaleway-sdk-go/api/instance/v1"
)

// Metadata is the service that servers ask about themselves at 169.254.42.42. Who asks
// is told by the address the question comes from: from names the server of each. As far
// as is known, user-data is for those who may bind a port below 1024.
func (a *API) Metadata(from map[string]string) http.Handler {
	mux := http.NewServeMux()
	handle := func(pattern string, do func(http.ResponseWriter, *http.Request, *instance.Server)) {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set(Header, "this is not Scaleway")
			a.mu.Lock()
			defer a.mu.Unlock()
			host, _, _ := net.SplitHostPort(r.RemoteAddr)
			for _, s := range a.servers {
				if s.Name == from[host] {
					do(w, r, s)
					return
				}
			}
			http.NotFound(w, r)
		})
	}
	handle("GET /conf", a.configuration)
	handle("GET /user_data", privileged(a.userDataKeys))
	handle("GET /user_data/{key}", privileged(a.getUserData))
	handle("PATCH /user_data/{key}", privileged(a.patchUserData))
	handle("DELETE /user_data/{key}", privileged(a.deleteUserData))
	return mux
}

// configuration is the server as it sees itself; without format=json it is a shell script.
func (a *API) configuration(w http.ResponseWriter, r *http.Request, s *instance.Server) {
	if r.URL.Query().Get("format") != "json" {
		io.WriteString(w, "ID="+s.ID+"\nNAME="+s.Name+"\nTAGS="+strconv.Itoa(len(s.Tags))+"\n")
		return
	}
	nics, ips := []map[string]string{}, []map[string]string{}
	for _, n := range s.PrivateNics { // without the address in the private network
		nics = append(nics, map[string]string{"id": n.ID, "mac_address": n.MacAddress, "private_network_id": n.PrivateNetworkID})
	}
	for _, ip := range a.ips {
		if ip.Server != nil && ip.Server.ID == s.ID {
			ips = append(ips, map[string]string{"id": ip.ID, "address": ip.Address.String(), "family": "inet"})
		}
	}
	answer(w, http.StatusOK, map[string]any{"id": s.ID, "name": s.Name, "hostname": s.Hostname, "tags": s.Tags, "commercial_type": s.CommercialType,
		"location": map[string]string{"zone_id": string(Zone)}, "private_nics": nics, "public_ips_v4": ips, "public_ips_v6": []string{}, "ssh_public_keys": []string{}})
}

// privileged refuses who asks from a port that any user may have.
func privileged(do func(http.ResponseWriter, *http.Request, *instance.Server)) func(http.ResponseWriter, *http.Request, *instance.Server) {
	return func(w http.ResponseWriter, r *http.Request, s *instance.Server) {
		_, port, _ := net.SplitHostPort(r.RemoteAddr)
		if n, err := strconv.Atoi(port); err != nil || n >= 1024 {
			http.Error(w, "the source port must be below 1024", http.StatusForbidden)
			return
		}
		do(w, r, s)
	}
}

func (a *API) userDataKeys(w http.ResponseWriter, _ *http.Request, s *instance.Server) {
	keys := []string{}
	for key := range a.userData[s.ID] {
		keys = append(keys, key)
	}
	answer(w, http.StatusOK, map[string]any{"user_data": keys})
}

func (a *API) getUserData(w http.ResponseWriter, r *http.Request, s *instance.Server) {
	data, ok := a.userData[s.ID][r.PathValue("key")]
	if !ok {
		http.NotFound(w, r)
		return
	}
	a.served++
	w.Header().Set("Content-Type", "text/plain")
	w.Write(data)
}

func (a *API) patchUserData(w http.ResponseWriter, r *http.Request, s *instance.Server) {
	data, err := io.ReadAll(io.LimitReader(r.Body, maxUserData+1))
	if err != nil || len(data) > maxUserData {
		http.Error(w, "user data is too long", http.StatusBadRequest)
		return
	}
	a.store(s, r.PathValue("key"), data)
	w.WriteHeader(http.StatusNoContent)
}

func (a *API) deleteUserData(w http.ResponseWriter, r *http.Request, s *instance.Server) {
	if _, ok := a.userData[s.ID][r.PathValue("key")]; !ok {
		http.NotFound(w, r)
		return
	}
	delete(a.userData[s.ID], r.PathValue("key"))
	w.WriteHeader(http.StatusNoContent)
}

func (a *API) store(s *instance.Server, key string, data []byte) {
	if a.userData[s.ID] == nil {
		a.userData[s.ID] = map[string][]byte{}
	}
	a.userData[s.ID][key] = data
}

// Served is how often user-data was read by the servers themselves.
func (a *API) Served() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.served
}

// Moves is how often a flexible IP was attached to another server, or detached.
func (a *API) Moves() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.moves
}

// Holder is the name of the server that has a flexible IP, "" for none.
func (a *API) Holder(address string) string {
	a.mu.Lock()
	defer a.mu.Unlock()
	if i, ok := a.findIP(address); ok && a.ips[i].Server != nil {
		return a.ips[i].Server.Name
	}
	return ""
}
