package payload

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/coreos/ignition/v2/config/v3_5/types"

	"github.com/imgforge/imgforge/internal/artifact"
	"github.com/imgforge/imgforge/internal/bootcode"
	"github.com/imgforge/imgforge/internal/testtool"
)

// The programs of a test: an extension and a bundle, with their hashes.
const extension, bundle = "the system extension", "the container images"

func hexOf(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

// fetching is a document that fetches both.
func fetching() *Document {
	doc := worker()
	doc.Remotes = []Remote{{Path: artifact.ExtensionPlace, SHA256: hexOf(extension)}, {Path: artifact.BundlePlace, SHA256: hexOf(bundle)}}
	return doc
}

// Both engines put the programs of a node in place, and merge the extension before any
// unit starts.
func TestEnginesFetchPrograms(t *testing.T) {
	doc, o := fetching(), Options{ArtifactsURL: "http://127.0.0.1:8080"}
	for format, engine := range map[string]string{FormatIgnition: testtool.Path(t, "ignition"), FormatCloudInit: testtool.Path(t, "cloud-init")} {
		if o.Format = format; format == FormatCloudInit {
			engine = "cloud-init"
		}
		p := mustRender(t, doc, o)
		names, err := References(p.Data)
		if want := []string{FetchedPath(hexOf(bundle)), FetchedPath(hexOf(extension))}; err != nil || !slices.Equal(names, slices.Sorted(slices.Values(want))) {
			t.Errorf("%s: it refers to %q, %v", format, names, err)
		}
		n := newNode(t)
		n.write("public/"+FetchedPath(hexOf(extension)), extension)
		n.write("public/"+FetchedPath(hexOf(bundle)), bundle)
		lines := n.apply(engine, p.Data)
		for path, text := range map[string]string{artifact.ExtensionPlace: extension, artifact.BundlePlace: bundle} {
			if want := "f 0644 0:0\t" + hexOf(text) + "  ." + path; !slices.Contains(lines, want) {
				t.Errorf("%s: there is no line %q", format, want)
			}
		}
		if format == FormatCloudInit {
			if complaints := n.read("complaints"); complaints != "" {
				t.Errorf("cloud-init complains:\n%s", complaints)
			}
		}
	}
}

// A wrong byte: cloud-init leaves nothing behind and says why with its code.
func TestWrongProgramsAreRefused(t *testing.T) {
	testtool.Path(t, "cloud-init")
	n := newNode(t)
	n.write("public/"+FetchedPath(hexOf(extension)), extension+".")
	n.write("public/"+FetchedPath(hexOf(bundle)), bundle)
	for _, l := range n.apply("cloud-init", mustRender(t, fetching(), Options{Format: FormatCloudInit, ArtifactsURL: "http://127.0.0.1:8080"}).Data) {
		if strings.Contains(l, "./var/lib/extensions/") || strings.Contains(l, "./var/lib/imgforge/") {
			t.Errorf("there is %s", l)
		}
	}
	text := n.read("cloud-init-output")
	from := strings.Index(text, "imgforge: code 405")
	to := strings.Index(text, "\n  change: ")
	if from < 0 || to < from {
		t.Fatalf("cloud-init said\n%s", tail([]byte(text)))
	}
	end := to + 1 + strings.IndexByte(text[to+1:], '\n') + 1
	code, _ := bootcode.Of(bootcode.NotFetched)
	testtool.BootCode(t, code, text[from:end], *update)
}

// What could not be fetched in the first boot, the unit that goes on asks cloud-init for.
func TestProgramsAreFetchedLater(t *testing.T) {
	testtool.Path(t, "cloud-init")
	n := newNode(t)
	n.write("public/"+FetchedPath(hexOf(extension)), "not yet")
	n.write("public/"+FetchedPath(hexOf(bundle)), bundle)
	n.between = "[ ! -e " + artifact.ExtensionPlace + " ]\n" +
		"printf '%s' '" + extension + "' >/proc/1/root" + n.dir + "/public/" + FetchedPath(hexOf(extension)) + "\n" +
		"cloud-init single --name bootcmd --frequency always >&2\n" +
		"[ -e " + artifact.ExtensionPlace + " ] && [ -e " + artifact.BundlePlace + " ]\n"
	lines := n.apply("cloud-init", mustRender(t, fetching(), Options{Format: FormatCloudInit, ArtifactsURL: "http://127.0.0.1:8080"}).Data)
	if want := "f 0644 0:0\t" + hexOf(extension) + "  ." + artifact.ExtensionPlace; !slices.Contains(lines, want) {
		t.Errorf("there is no line %q", want)
	}
}

// bringing runs the script of one program against a server, with a shorter patience.
func bringing(t *testing.T, root, url string) (said string, err error) {
	t.Helper()
	script := programsScript([]fetch{{path: artifact.ExtensionPlace, url: url, mode: 0o644, program: "sha256sum", digest: hexOf(extension)}}, types.Proxy{})
	for _, c := range [][2]string{{"/var/lib/", root + "/"}, {"--retry-delay 10", "--retry-delay 1"}, {"--retry-max-time 600", "--retry-max-time 3"}} {
		if !strings.Contains(script, c[0]) {
			t.Fatalf("the script lacks %q:\n%s", c[0], script)
		}
		script = strings.ReplaceAll(script, c[0], c[1])
	}
	out, err := exec.Command("sh", "-euc", script).CombinedOutput()
	return string(out), err
}

// A server that comes late is waited for, one that never comes is not; what is there
// is not asked for again.
func TestProgramsWaitForTheirServer(t *testing.T) {
	testtool.Path(t, "curl")
	var asked atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if asked.Add(1) < 2 {
			http.Error(w, "not yet", http.StatusNotFound)
			return
		}
		w.Write([]byte(extension))
	}))
	defer server.Close()
	root := t.TempDir()
	place := filepath.Join(root, strings.TrimPrefix(artifact.ExtensionPlace, "/var/lib/"))
	for range 2 {
		if out, err := bringing(t, root, server.URL); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		if got, err := os.ReadFile(place); err != nil || !bytes.Equal(got, []byte(extension)) {
			t.Errorf("there is %q, %v", got, err)
		}
	}
	if asked.Load() != 2 {
		t.Errorf("the server was asked %d times, not twice", asked.Load())
	}
	server.Close()
	root = t.TempDir()
	out, err := bringing(t, root, server.URL)
	if err == nil || !strings.Contains(out, "imgforge: code 405 not-fetched in step images: ") || !strings.Contains(out, "\n  why:    "+server.URL+": curl: (7) ") {
		t.Errorf("%v\n%s", err, out)
	}
	if left, _ := filepath.Glob(root + "/extensions/*"); len(left) > 0 {
		t.Errorf("it left %q", left)
	}
}
