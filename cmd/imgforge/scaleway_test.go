package main

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"sync"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/imgforge/imgforge/images/qcow2"
	"github.com/imgforge/imgforge/images/sparse"
	"github.com/imgforge/imgforge/internal/artifact"
	"github.com/imgforge/imgforge/internal/scaleway/fake"
)

// fakeScaleway is `scaleway start`, which serves an empty project and puts its
// credentials into the environment; `scaleway inventory`, which prints what exists or nothing;
// `scaleway deny`, after which no more server may be made, until `scaleway allow`;
// `scaleway deny images`, the same for images; `scaleway stranger NAME`, a server that
// belongs to nobody; `scaleway bad-day`, after which some calls go wrong; `scaleway booted FILE`, which collects what servers boot from in a
// file; `scaleway leaks LOG FILE`, which looks for that, and for the key, in what was printed;
// `scaleway disk FILE TEXT`, a qcow2 with a text in it; and
// `scaleway out FOLDER PART TEXT`, an output folder of the cluster tiny with such a disk
// of role worker in one part, sealed in the public one.
func fakeScaleway() func(*testscript.TestScript, bool, []string) {
	var lock sync.Mutex
	running := map[string]*fake.API{} // by the script's folder
	return func(ts *testscript.TestScript, _ bool, args []string) {
		lock.Lock()
		defer lock.Unlock()
		api := running[ts.Getenv("WORK")]
		switch {
		case args[0] == "start":
			api = fake.New()
			running[ts.Getenv("WORK")] = api
			serveScript(ts, api)
		case args[0] == "inventory":
			lines := api.Inventory()
			if len(lines) == 0 {
				lines = []string{"nothing"}
			}
			for _, line := range lines {
				fmt.Fprintln(ts.Stdout(), line)
			}
		case args[0] == "stranger":
			api.Stranger(args[1])
		case args[0] == "disk":
			f, err := os.Create(ts.MkAbs(args[1]))
			ts.Check(err)
			ts.Check(errors.Join(writeDisk(f, args[2]), f.Close()))
		case args[0] == "out":
			ts.Check(writeOut(ts.MkAbs(args[1]), args[2], args[3]))
		case args[0] == "deny":
			denied := "/instance/v1/zones/fr-par-1/" + append(args[1:], "servers")[0]
			api.Fault = func(_ int, r *http.Request) fake.Fault {
				if r.Method == http.MethodPost && r.URL.Path == denied {
					return fake.Denied
				}
				return fake.None
			}
		case args[0] == "bad-day":
			api.Fault = badDay(api.Calls())
		case args[0] == "booted":
			collect(ts, api, args[1])
		case args[0] == "leaks":
			findLeaks(ts, args[1], args[2])
		case args[0] == "allow":
			api.Fault = nil
		default:
			ts.Fatalf("scaleway: %q", args)
		}
	}
}

// badDay lets one call go wrong in each way that ends at once, long after one another.
func badDay(from int) func(int, *http.Request) fake.Fault {
	faults := [...]fake.Fault{fake.TooMany, fake.BrokenAfter, fake.HalfWritten}
	return func(n int, _ *http.Request) fake.Fault {
		if n -= from; n%17 != 0 || n/17 > len(faults) {
			return fake.None
		}
		return faults[n/17-1]
	}
}

// collect writes down what all servers boot from.
func collect(ts *testscript.TestScript, api *fake.API, file string) {
	var all bytes.Buffer
	for _, name := range []string{"master-1", "proxy-1", "worker-1"} {
		all.Write(api.UserData(name))
	}
	if all.Len() == 0 {
		ts.Fatalf("no server has anything to boot from")
	}
	ts.Check(os.WriteFile(ts.MkAbs(file), all.Bytes(), 0o600))
}

// findLeaks looks for the key of the account, private keys of any kind, and any piece of
// what servers boot from. What is looked for is not printed.
func findLeaks(ts *testscript.TestScript, log, booted string) {
	printed := []byte(ts.ReadFile(log))
	if len(printed) < 1000 {
		ts.Fatalf("%s has %d bytes: that is not all", log, len(printed))
	}
	for what, secret := range map[string]string{"the account's key": fake.SecretKey, "a private key": "PRIVATE KEY", "an identity": "AGE-SECRET-KEY-", "a disk": "KEYS-"} {
		if bytes.Contains(printed, []byte(secret)) {
			ts.Fatalf("%s holds %s", log, what)
		}
	}
	const piece = 32
	for rest := []byte(ts.ReadFile(booted)); len(rest) >= piece; rest = rest[piece:] {
		if bytes.Contains(printed, rest[:piece]) {
			ts.Fatalf("%s holds a piece of what a server boots from", log)
		}
	}
}

func serveScript(ts *testscript.TestScript, api *fake.API) {
	server := httptest.NewServer(api)
	ts.Defer(server.Close)
	storage := httptest.NewServer(api.ObjectStorage())
	ts.Defer(storage.Close)
	ts.Setenv("SCW_API_URL", server.URL)
	ts.Setenv("SCW_S3_URL", storage.URL)
	ts.Setenv("SCW_ACCESS_KEY", fake.AccessKey)
	ts.Setenv("SCW_SECRET_KEY", fake.SecretKey)
	ts.Setenv("SCW_DEFAULT_PROJECT_ID", fake.Project)
	ts.Setenv("SCW_DEBUG", "true")
}

// disk is one of 1 MiB.
func disk(text string) []byte { return append(bytes.Repeat([]byte{0}, 1<<20-len(text)), text...) }

// writeDisk writes it as qcow2.
func writeDisk(f *os.File, text string) error { return qcow2.Write(f, sparse.Bytes(disk(text))) }

func writeOut(dir, part, text string) error {
	tree, err := artifact.NewTree(dir, artifact.TreeInfo{Cluster: "tiny"})
	if err != nil {
		return err
	}
	secret := part == artifact.Secret
	item := artifact.Item{Path: "images/worker.qcow2", Kind: "image", Role: "worker", Format: "qcow2", Secret: secret,
		Disk: &artifact.Disk{SHA256: fmt.Sprintf("%x", sha256.Sum256(disk(text))), Size: int64(len(disk(text))), Sealed: !secret}}
	if _, err := tree.AddFile(item, func(f *os.File) error { return writeDisk(f, text) }); err != nil {
		return err
	}
	return tree.Commit()
}
