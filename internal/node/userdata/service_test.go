package userdata

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"

	"github.com/imgforge/imgforge/internal/scaleway/fake"
	"github.com/imgforge/imgforge/internal/testtool"
)

// standIn answers as the service of a provider does: a stand-in, since the real ones
// answer only servers of the provider. It refuses what the real ones refuse: every
// path but their own, and EC2's a question without a token or a token without a life time.
func standIn(t *testing.T, provider, data string) Service {
	s, ok := Of(provider)
	if !ok {
		t.Fatal(provider)
	}
	mux := http.NewServeMux()
	answer := func(w http.ResponseWriter, r *http.Request) {
		if data == "" && provider != "hetzner" {
			http.NotFound(w, r)
			return
		}
		w.Write([]byte(data))
	}
	switch provider {
	case "scaleway":
		testtool.Root(t) // it answers ports below 1024 alone
		api := fake.New()
		api.Stranger("worker-1")
		if data != "" {
			api.GiveUserData("worker-1", []byte(data))
		}
		mux.Handle("/", api.Metadata(map[string]string{"127.0.0.1": "worker-1"}))
	case "ec2":
		mux.HandleFunc("PUT /latest/api/token", token)
		mux.HandleFunc("GET /latest/user-data", func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("X-aws-ec2-metadata-token") != "AQAEAExample==" {
				http.Error(w, "Unauthorized", http.StatusUnauthorized)
				return
			}
			answer(w, r)
		})
	case "openstack":
		mux.HandleFunc("GET /openstack/latest/user_data", answer)
	case "exoscale":
		mux.HandleFunc("GET /1.0/user-data", answer)
	case "hetzner":
		mux.HandleFunc("GET /hetzner/v1/userdata", answer)
	}
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	s.URLs = []string{server.URL}
	return s
}

func token(w http.ResponseWriter, r *http.Request) {
	ttl, err := strconv.Atoi(r.Header.Get("X-aws-ec2-metadata-token-ttl-seconds"))
	if err != nil || ttl < 1 || ttl > 21600 || r.Header.Get("X-Forwarded-For") != "" {
		http.Error(w, "Bad Request", http.StatusBadRequest)
		return
	}
	w.Write([]byte("AQAEAExample=="))
}

func TestEveryServiceTellsUserData(t *testing.T) {
	const data = "one line\n"
	for _, provider := range []string{"scaleway", "ec2", "openstack", "exoscale", "hetzner"} {
		t.Run(provider, func(t *testing.T) {
			if got, err := standIn(t, provider, data).Read(t.Context()); err != nil || string(got) != data {
				t.Errorf("%q, %v", got, err)
			}
			if got, err := standIn(t, provider, "").Read(t.Context()); !errors.Is(err, ErrNone) {
				t.Errorf("without any: %q, %v", got, err)
			}
			s := standIn(t, provider, data)
			s.URLs = append([]string{"http://127.0.0.1:1"}, s.URLs...)
			if got, err := s.Read(t.Context()); err != nil || string(got) != data {
				t.Errorf("the second address is not asked: %q, %v", got, err)
			}
		})
	}
	for _, provider := range []string{"proxmox", "libvirt", "metal", ""} {
		if _, ok := Of(provider); ok {
			t.Errorf("%q has no service", provider)
		}
	}
}

// A service that refuses, redirects or is not there gives no answer; that is not the
// answer that there is no user-data.
func TestServiceThatGivesNoAnswer(t *testing.T) {
	for name, answer := range map[string]http.HandlerFunc{
		"it answers 403": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusForbidden) },
		"it answers 500": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) },
		"it answers 302": func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/elsewhere", http.StatusFound) },
		"unexpected EOF": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "99")
			w.Write([]byte("cut"))
		},
		"no answer in 2s":   func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() },
		"asked for a token": nil,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, _ := Of("openstack")
			if answer == nil {
				s, _ = Of("ec2")
				answer = http.NotFound
			}
			server := httptest.NewServer(answer)
			t.Cleanup(server.Close)
			s.URLs = []string{server.URL}
			if got, err := s.Read(t.Context()); err == nil || errors.Is(err, ErrNone) || !strings.Contains(err.Error(), name) || strings.Contains(err.Error(), "127.0.0.1") {
				t.Errorf("%q, %v", got, err)
			}
		})
	}
}

// Scaleway's service refuses ports that anybody may have: asking without one of root's fails.
func TestScalewayWantsRootsPort(t *testing.T) {
	s := standIn(t, "scaleway", "x")
	unprivileged := s
	unprivileged.Port = nil
	if got, err := unprivileged.Read(t.Context()); err == nil || !strings.Contains(err.Error(), "403") {
		t.Errorf("%q, %v", got, err)
	}
	if err := s.Delete(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Read(t.Context()); !errors.Is(err, ErrNone) {
		t.Errorf("deleted: %v", err)
	}
	if err := s.Delete(t.Context()); err != nil {
		t.Errorf("gone already: %v", err)
	}
	if err := unprivileged.Delete(t.Context()); err == nil || !strings.Contains(err.Error(), "403") {
		t.Errorf("refused: %v", err)
	}
}

func TestKind(t *testing.T) {
	for data, want := range map[string]string{
		"":                                     "nothing but white space",
		`{"ignition":{"version":"3.4.0"}}`:     "an Ignition config",
		`{"a":1}`:                              "JSON of another kind",
		`{"ignition":{"vers`:                   "JSON that is cut short",
		"#cloud-config\nusers: []\n":           "a cloud-config",
		"#!/bin/sh\n":                          "a script",
		"MIME-Version: 1.0\n":                  "a MIME archive",
		"variant: flatcar\n":                   "a Butane config",
		"\x1f\x8b\x08":                         "gzip",
		"<html>":                               "a page",
		"aW1nZm9yZ2UtY2xhaW0tdjEud29ya2VyLTE=": "a claim line in base64",
		"\xff\xfe":                             "binary data",
		"hello":                                "text of another kind (5 bytes)",
	} {
		if got := Kind([]byte(data)); !strings.Contains(got, want) {
			t.Errorf("%q is %s, want %s", data, got, want)
		}
	}
}
