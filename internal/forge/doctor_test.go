package forge

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/imgforge/imgforge/internal/plan"
	"github.com/imgforge/imgforge/internal/report"
)

func TestStatusAddress(t *testing.T) {
	n := plan.Node{Address: "192.168.66.11"}
	for other, want := range map[string]string{
		"":                 "192.168.66.11:9440",
		"127.0.0.1":        "127.0.0.1:9440",
		"127.0.0.1:19440":  "127.0.0.1:19440",
		"tunnel.local":     "tunnel.local:9440",
		"2001:db8::1":      "[2001:db8::1]:9440",
		"[2001:db8::1]":    "[2001:db8::1]:9440",
		"[2001:db8::1]:80": "[2001:db8::1]:80",
	} {
		if got := address(n, other); got != want {
			t.Errorf("%q: %s, want %s", other, got, want)
		}
	}
}

// All leaves out the reserve, whose machines do not exist; a name asks for any.
func TestPatients(t *testing.T) {
	c := &cluster{plan: &plan.Plan{Nodes: []plan.Node{{Name: "master-1"}, {Name: "worker-1"}, {Name: "worker-2", Reserved: true}}}}
	tests := []struct {
		o    DoctorOptions
		want string // "" for a refusal
	}{
		{DoctorOptions{All: true}, "master-1 worker-1"},
		{DoctorOptions{Nodes: []string{"worker-2", "master-1"}}, "master-1 worker-2"},
		{DoctorOptions{Nodes: []string{"worker-2"}, Address: "h"}, "worker-2"},
		{DoctorOptions{All: true, Address: "h"}, ""},
		{DoctorOptions{Nodes: []string{"master-1"}, Address: "127.0.0.1:foo"}, ""},
		{DoctorOptions{Nodes: []string{"master-1"}, Address: "127.0.0.1:0"}, ""},
		{DoctorOptions{Nodes: []string{"master-1"}, Address: "127.0.0.1:65536"}, ""},
		{DoctorOptions{Nodes: []string{"master-1"}, Address: ":9440"}, ""},
		{DoctorOptions{Nodes: []string{"master-1"}, Address: "https://127.0.0.1:9440"}, ""},
		{DoctorOptions{Nodes: []string{"master-1"}, Address: "2001:db8::1"}, "master-1"},
		{DoctorOptions{Nodes: []string{"master-1"}, Address: "tunnel.local:19440"}, "master-1"},
	}
	for _, tt := range tests {
		var names []string
		nodes, err := c.patients(tt.o)
		for _, n := range nodes {
			names = append(names, n.Name)
		}
		if got := strings.Join(names, " "); got != tt.want || (err == nil) != (tt.want != "") {
			t.Errorf("%+v: %q, %v", tt.o, got, err)
		}
		if _, ok := errors.AsType[*report.Invalid](err); err != nil && !ok {
			t.Errorf("%v is no wrong command line", err)
		}
	}
}

// Each way of not answering comes with what to look at.
func TestAdvice(t *testing.T) {
	dial := func(err error) error {
		return fmt.Errorf("get: %w", &net.OpError{Op: "dial", Net: "tcp", Err: os.NewSyscallError("connect", err)})
	}
	wants := map[string]error{
		"another certificate":        fmt.Errorf("get: %w", &tls.CertificateVerificationError{Err: errors.New("unknown authority")}),
		"the node's clock":           &net.OpError{Op: "remote error", Err: errors.New("tls: expired certificate")},
		"does not serve its status":  dial(syscall.ECONNREFUSED),
		"is in the mesh":             dial(syscall.EHOSTUNREACH),
		"the imgforge-node that bel": errors.New("it answers 404 Not Found"),
	}
	seen := []string{}
	for want, err := range wants {
		got := advice(&plan.Plan{Network: plan.Network{Mesh: "tinc"}}, err)
		if !strings.Contains(got, want) || slices.Contains(seen, got) {
			t.Errorf("%v: %s", err, got)
		}
		seen = append(seen, got)
	}
}
