package testtool

import (
	"os/exec"
	"testing"
)

// S3 runs a real S3 server of region fr-par, for one pair of keys, until the test ends.
// Its buckets are the folders in folder.
func S3(t testing.TB, access, secret string) (url, folder string) {
	t.Helper()
	program := Path(t, "versitygw")
	folder = t.TempDir()
	address := Server(t, func(address string) *exec.Cmd {
		return exec.Command(program, "--access", access, "--secret", secret, "--port", address, "--region", "fr-par", "posix", "--sidecar", t.TempDir(), folder)
	})
	return "http://" + address, folder
}
