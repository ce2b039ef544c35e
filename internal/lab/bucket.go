package lab

import (
	"cmp"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// bucket is a real S3 server on the wire, with one bucket for a cluster's snapshots. It
// speaks https with a certificate of its own, which only the cluster file vouches for.
type bucket struct {
	lab            *Lab
	access, secret string
	certificate    []byte // PEM
	folder         string // of the server; each folder in it is a bucket
	log            string // a file: one line for each request
}

const (
	bucketName   = "backups"
	bucketPrefix = "etcd/of-this-cluster"
	bucketRegion = "lab-1"
	accessRef    = "bucket-access"
	secretRef    = "bucket-secret"
)

// bucketAddress is where the server is on the wire: nobody else's address there.
func bucketAddress() netip.Prefix { return netip.MustParsePrefix("10.99.0.240/24") }

// newBucket makes what a server needs, and a bucket with nothing in it.
func (l *Lab) newBucket() (*bucket, error) {
	dir := filepath.Join(l.work, "bucket")
	b := &bucket{lab: l, access: rand.Text(), secret: rand.Text(), folder: filepath.Join(dir, "objects"), log: filepath.Join(l.Artifacts, "bucket.log")}
	for _, folder := range []string{filepath.Join(b.folder, bucketName), b.beside("versions")} {
		if err := os.MkdirAll(folder, 0o700); err != nil {
			return nil, err
		}
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, IPAddresses: []net.IP{bucketAddress().Addr().AsSlice()}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	b.certificate = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	return b, errors.Join(os.WriteFile(b.beside("server.crt"), b.certificate, 0o600),
		os.WriteFile(b.beside("server.key"), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}), 0o600))
}

func (b *bucket) beside(name string) string { return filepath.Join(filepath.Dir(b.folder), name) }

// settings are the cluster file's lines about it, in its key etcd.
func (b *bucket) settings() string {
	var text strings.Builder
	fmt.Fprintf(&text, "etcd:\n  snapshot:\n    s3:\n      endpoint: https://%s\n      region: %s\n      bucket: %s\n      prefix: %s\n      accessKeyRef: %s\n      secretKeyRef: %s\n      ca: |\n",
		bucketAddress().Addr(), bucketRegion, bucketName, bucketPrefix, accessRef, secretRef)
	for line := range strings.Lines(string(b.certificate)) {
		text.WriteString("        " + line)
	}
	return text.String()
}

// secrets are what the cluster file names.
func (b *bucket) secrets() map[string]string {
	return map[string]string{accessRef: b.access, secretRef: b.secret}
}

// url is where a snapshot of a name is.
func (b *bucket) url(name string) string {
	return "s3://" + bucketName + "/" + bucketPrefix + "/" + name
}

// serve plugs the server into a network and runs it until the lab's end.
func (b *bucket) serve(ctx context.Context, wire *Network) error {
	program, err := b.lab.Tool("versitygw")
	if err != nil {
		return err
	}
	netns := b.lab.id + "-bucket"
	b.lab.later("network namespace "+netns, func(ctx context.Context) error { return b.lab.removeNamespace(ctx, netns) })
	if _, err := wire.plug(ctx, netns, bucketAddress()); err != nil {
		return err
	}
	log, err := os.Create(b.log)
	if err != nil {
		return err
	}
	defer log.Close()
	address := net.JoinHostPort(bucketAddress().Addr().String(), "443")
	cmd := exec.Command("ip", "netns", "exec", netns, program, "--port", address, "--region", bucketRegion, "--cert", b.beside("server.crt"), "--key", b.beside("server.key"),
		"posix", "--sidecar", b.beside("versions"), b.folder)
	cmd.Env = append(os.Environ(), "ROOT_ACCESS_KEY="+b.access, "ROOT_SECRET_KEY="+b.secret)
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("run an S3 server: %w", err)
	}
	b.lab.later("S3 server", func(context.Context) error {
		err := cmd.Process.Kill()
		cmd.Wait() // it was killed
		return err
	})
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	return Await(ctx, "the S3 server", func(ctx context.Context) error {
		conn, err := dialler(netns)(ctx, "tcp", address)
		if err != nil {
			return err
		}
		return conn.Close()
	})
}

// newest is the snapshot in the bucket that was named last.
func (b *bucket) newest() (s keptSnapshot, err error) {
	files, err := filepath.Glob(filepath.Join(b.folder, bucketName, bucketPrefix, "etcd-*.db.age"))
	if err != nil || len(files) == 0 {
		return s, cmp.Or(err, errors.New("the bucket has no snapshot"))
	}
	s.name = filepath.Base(slices.Max(files))
	return s, s.parse()
}

// took lists who was given a snapshot, by the addresses of their requests, each once.
func (b *bucket) took(name string) (addresses []string, err error) {
	data, err := os.ReadFile(b.log)
	return tookOf(string(data), name), err
}

// tookOf reads what the server prints: time, status, duration, address, method and path,
// with bars between them.
func tookOf(log, name string) (addresses []string) {
	for line := range strings.Lines(log) {
		fields := strings.Split(line, "|")
		for i := range fields {
			fields[i] = strings.TrimSpace(fields[i])
		}
		if len(fields) < 6 || fields[4] != http.MethodGet || path.Base(fields[5]) != name || fields[1] != "200" && fields[1] != "206" {
			continue
		}
		if !slices.Contains(addresses, fields[3]) {
			addresses = append(addresses, fields[3])
		}
	}
	slices.Sort(addresses)
	return addresses
}
