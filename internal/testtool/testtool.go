// Package testtool finds the real programs that judge what imgforge makes.
// Programs written in Go are built once per user from the pinned modules under
// internal/tools; the others are Debian packages, looked up on PATH. It is for
// tests alone, and never fetches anything but Go modules.
package testtool

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// Path returns the path of a program by its usual name: ignition,
// ignition-validate, butane, cloud-init, haproxy, keepalived, tincd, wg,
// wireguard-go, nft, systemd-analyze, openssl, isoinfo, xorriso, etcd, etcd-3.7, etcdctl,
// cfssl, cfssljson, containerd, k8s-strict, or any other program on PATH. Without it the
// test is skipped with its name; see [Required] for when it fails instead.
func Path(t testing.TB, name string) string {
	t.Helper()
	find := onPath
	if _, ours := pins()[name]; ours {
		find = built
	}
	path, err := find(name)
	if err != nil {
		missing(t, "%s is needed: %v", name, err)
	}
	return path
}

// Root skips a test that only root can run, or fails it when [Required].
func Root(t testing.TB) {
	t.Helper()
	if os.Geteuid() != 0 {
		missing(t, "root is needed: run this test as root")
	}
}

// Required tells whether a missing program fails a test rather than skipping
// it: in CI, or when IMGFORGE_REQUIRE_TOOLS is set.
func Required() bool {
	return os.Getenv("CI") != "" || os.Getenv("IMGFORGE_REQUIRE_TOOLS") != ""
}

// Skip leaves a test out for a reason that the machine gives, or fails it when [Required].
func Skip(t testing.TB, format string, args ...any) {
	t.Helper()
	missing(t, format, args...)
}

func missing(t testing.TB, format string, args ...any) {
	t.Helper()
	if Required() {
		t.Fatalf(format, args...)
	}
	t.Skipf(format, args...)
}

// onPath looks in the administrator's folders too, which a plain user's PATH
// leaves out on Debian though the programs in them can be run by anybody.
func onPath(name string) (string, error) {
	path, err := exec.LookPath(name)
	if err == nil {
		return path, nil
	}
	for _, dir := range [...]string{"/usr/local/sbin", "/usr/sbin", "/sbin"} {
		if found, lookErr := exec.LookPath(filepath.Join(dir, name)); lookErr == nil {
			return found, nil
		}
	}
	return "", err
}
