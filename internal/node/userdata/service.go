// Package userdata asks a provider's metadata service for the user-data of the server
// that asks, and removes it where the service lets a server do that. It keeps no copy.
package userdata

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"syscall"
	"time"

	"github.com/imgforge/imgforge/internal/node/step"
)

const (
	// Timeout bounds one question: the network may not be up yet.
	Timeout = 2 * time.Second
	// Most is how many bytes are read of an answer; no provider takes more.
	Most = 1 << 20
)

// ErrNone is the service's answer that this server has no user-data.
var ErrNone = errors.New("the server has no user-data")

// Service is a provider's metadata service.
type Service struct {
	Provider string
	// URLs are asked in this order until one answers.
	URLs []string
	// Path is where user-data is below a URL.
	Path string
	// Port gives the source port of a question; nil lets the kernel choose.
	Port func() int
	// token is where a token for the question comes from; "" where none is needed.
	token string
}

// Of is the service of a provider, by the name in the cluster file; false where there
// is none. The paths are those that Ignition reads, so that what its users know holds:
//
//   - Scaleway answers only who asks from a port below 1024, and 404 means none.
//   - EC2 wants a token first (IMDSv2), which PUT gives.
//   - OpenStack's, Exoscale's and Hetzner's answer everybody on the server.
//   - Proxmox, libvirt and metal have no service, but drives.
func Of(provider string) (Service, bool) {
	const common = "http://169.254.169.254"
	switch provider {
	case "scaleway":
		return Service{Provider: provider, URLs: []string{"http://169.254.42.42", "http://[fd00:42::42]"}, Path: "/user_data/cloud-init", Port: RootsPort}, true
	case "ec2":
		return Service{Provider: provider, URLs: []string{common, "http://[fd00:ec2::254]"}, Path: "/latest/user-data", token: "/latest/api/token"}, true
	case "openstack":
		return Service{Provider: provider, URLs: []string{common}, Path: "/openstack/latest/user_data"}, true
	case "exoscale":
		return Service{Provider: provider, URLs: []string{common}, Path: "/1.0/user-data"}, true
	case "hetzner":
		return Service{Provider: provider, URLs: []string{common}, Path: "/hetzner/v1/userdata"}, true
	}
	return Service{}, false
}

// RootsPort is a port that only root can have, and that few programs use.
func RootsPort() int { return 600 + rand.IntN(400) }

// Read returns the user-data as it was given to the provider; [ErrNone] says that there
// is none, any other error that nobody gave an answer. An error holds nothing of the data.
func (s Service) Read(ctx context.Context) ([]byte, error) {
	var first error
	for _, url := range s.URLs {
		data, err := s.read(ctx, url)
		if err == nil || errors.Is(err, ErrNone) {
			return data, err
		}
		if first == nil {
			first = err // the others are other ways to the same
		}
	}
	return nil, fmt.Errorf("the metadata service of %s: %w", s.Provider, first)
}

func (s Service) read(ctx context.Context, url string) ([]byte, error) {
	header := http.Header{}
	if s.token != "" {
		token, status, err := s.call(ctx, http.MethodPut, url+s.token, http.Header{"X-Aws-Ec2-Metadata-Token-Ttl-Seconds": {"60"}})
		if err != nil {
			return nil, err
		}
		if status != http.StatusOK {
			return nil, fmt.Errorf("it answers %d when asked for a token", status)
		}
		header.Set("X-Aws-Ec2-Metadata-Token", string(token))
	}
	data, status, err := s.call(ctx, http.MethodGet, url+s.Path, header)
	switch {
	case err != nil:
		return nil, err
	case status == http.StatusNotFound, status == http.StatusNoContent, status == http.StatusOK && len(data) == 0:
		return nil, ErrNone
	case status != http.StatusOK:
		return nil, fmt.Errorf("it answers %d when asked for user-data", status)
	}
	return data, nil
}

// Delete removes the server's user-data at the provider, where its service takes that
// call from a server: Scaleway's does. What is gone already is as good.
func (s Service) Delete(ctx context.Context) error {
	_, status, err := s.call(ctx, http.MethodDelete, s.URLs[0]+s.Path, http.Header{})
	switch {
	case err != nil:
		return fmt.Errorf("the metadata service does not delete user-data: %w", err)
	case status/100 == 2 || status == http.StatusNotFound:
		return nil
	}
	return fmt.Errorf("the metadata service answers %d when asked to delete user-data", status)
}

// call asks once, or again from another port while ports are taken.
func (s Service) call(ctx context.Context, method, url string, header http.Header) (body []byte, status int, err error) {
	for range 8 {
		body, status, err = s.ask(ctx, method, url, header)
		if s.Port == nil || !errors.Is(err, syscall.EADDRINUSE) {
			break
		}
	}
	return body, status, step.Cause(err, Timeout)
}

func (s Service) ask(ctx context.Context, method, url string, header http.Header) (body []byte, status int, err error) {
	req, err := http.NewRequestWithContext(ctx, method, url, nil)
	if err != nil {
		return nil, 0, err
	}
	req.Header = header
	dialer := &net.Dialer{Timeout: Timeout}
	if s.Port != nil {
		dialer.LocalAddr = &net.TCPAddr{Port: s.Port()}
	}
	// No proxy: the service knows who asks by where the question comes from. No redirect:
	// nothing but the service may answer.
	client := &http.Client{Timeout: Timeout, Transport: &http.Transport{DisableKeepAlives: true, DialContext: dialer.DialContext},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := client.Do(req)
	if err != nil {
		return nil, 0, err
	}
	defer resp.Body.Close()
	body, err = io.ReadAll(io.LimitReader(resp.Body, Most))
	return body, resp.StatusCode, err
}
