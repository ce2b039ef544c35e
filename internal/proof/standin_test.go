package proof

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"
)

// standIn lets this test binary play two small parts inside a machine; it
// reports whether it did. A Kubernetes API server cannot run without etcd data
// and minutes of building, and what haproxy and keepalived see of one is its
// certificate and the answer of /readyz:
//
//	serve ADDRESS CERT KEY   answers /readyz
//	get URL CA               asks and prints the answer
func standIn(args []string) bool {
	if len(args) == 0 {
		return false
	}
	var err error
	switch {
	case args[0] == "serve" && len(args) == 4:
		err = serveReady(args[1], args[2], args[3])
	case args[0] == "get" && len(args) == 3:
		err = get(args[1], args[2])
	default:
		return false
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	return true
}

func serveReady(address, cert, key string) error {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		host, _ := os.Hostname()
		fmt.Fprintf(w, "ok from %s\n", host)
	})
	server := &http.Server{Addr: address, Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	return server.ListenAndServeTLS(cert, key)
}

func get(url, ca string) error {
	pem, err := os.ReadFile(ca)
	if err != nil {
		return err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		return errors.New("no certificate in " + ca)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	client := http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}}
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, 1<<10))
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", response.Status, body)
	}
	fmt.Print(string(body))
	return err
}
