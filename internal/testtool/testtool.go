// Package testtool finds the real programs that judge what imgforge makes.
// Programs written in Go are built once per user from the pinned modules under
// internal/tools; the others are Debian packages, looked up on PATH. It is for
// tests alone, and never fetches anything but Go modules.
package testtool

import (
	"context"
	"os"
	"testing"

	"github.com/imgforge/imgforge/internal/toolchain"
)

// Path returns the path of a program by its usual name: ignition,
// ignition-validate, butane, cloud-init, haproxy, keepalived, tincd, wg,
// wireguard-go, nft, systemd-analyze, openssl, isoinfo, xorriso, etcd, etcd-3.7, etcdctl,
// cfssl, cfssljson, containerd, k8s-strict, or any other program on PATH. Without it the
// test is skipped with its name; see [Required] for when it fails instead.
func Path(t testing.TB, name string) string {
	t.Helper()
	root, err := ModuleRoot()
	if err != nil {
		t.Fatal(err)
	}
	path, err := toolchain.Path(context.Background(), root, name)
	if err != nil {
		missing(t, "%s is needed: %v", name, err)
	}
	return path
}

// ModuleRoot is the folder of the project's own go.mod, above the folder in
// which go test runs a package's tests.
func ModuleRoot() (string, error) { return toolchain.Root(".") }

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
