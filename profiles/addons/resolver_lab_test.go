//go:build lab

package addons

import (
	"context"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"gopkg.in/yaml.v3"

	"github.com/imgforge/imgforge/internal/testtool"
)

// A node that knows no resolver has a cluster DNS nevertheless, which says at once that
// it knows no other names. With the Corefile of kubeadm CoreDNS would end.
func TestCoreDNSWithoutResolvers(t *testing.T) {
	listen, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(listen.LocalAddr().String())
	listen.Close()
	dir := t.TempDir()
	resolvers := filepath.Join(dir, "resolv.conf")
	// What the API and ports of all interfaces are for is not looked at here.
	text := regexp.MustCompile(`(?s) *kubernetes .*?\n *}\n`).ReplaceAllString(corefile(t), "")
	text = regexp.MustCompile(`(?m)^ *(ready|prometheus .*)$`).ReplaceAllString(text, "")
	text = regexp.MustCompile(`(?s) *health {.*?\n *}\n`).ReplaceAllString(text, "")
	text = strings.NewReplacer(".:53 {", ".:"+port+" {\n    bind 127.0.0.1", "/etc/resolv.conf", resolvers).Replace(text)
	for path, data := range map[string]string{resolvers: "# No DNS servers known.\nsearch .\n", filepath.Join(dir, "Corefile"): text} {
		if err := os.WriteFile(path, []byte(data), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var log strings.Builder
	cmd := exec.Command(testtool.Path(t, "coredns"), "-conf", filepath.Join(dir, "Corefile"))
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	defer func() {
		cmd.Process.Kill()
		<-ended
	}()
	r := net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) { return net.Dial("udp", "127.0.0.1:"+port) }}
	for range 100 {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		_, err = r.LookupHost(ctx, "example.org.")
		cancel()
		if err != nil && strings.Contains(err.Error(), "server misbehaving") { // SERVFAIL
			return
		}
		select {
		case end := <-ended:
			ended <- end
			t.Fatalf("CoreDNS ended: %v\n%s\n%s", end, &log, text)
		case <-time.After(100 * time.Millisecond):
		}
	}
	t.Fatalf("it says %v\n%s", err, &log)
}

// corefile is the rendered one.
func corefile(t *testing.T) string {
	t.Helper()
	rendered, err := Render(cluster("1.36.3"), Facts{KubeletCA: []byte("-"), MetricsCert: []byte("-"), MetricsKey: []byte("-")})
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range rendered {
		for _, o := range a.Objects {
			var config struct {
				Kind string
				Data map[string]string
			}
			if yaml.Unmarshal(o.JSON, &config) == nil && config.Kind == "ConfigMap" && config.Data["Corefile"] != "" {
				return config.Data["Corefile"]
			}
		}
	}
	t.Fatal("no Corefile was rendered")
	return ""
}
