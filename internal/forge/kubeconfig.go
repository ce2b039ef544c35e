package forge

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"

	"gopkg.in/yaml.v3"
)

// kubernetes is a cluster's API, and who asks it.
type kubernetes struct {
	server string
	token  string
	client *http.Client
}

// kubeconfigFile is what is read of a kubeconfig; files that it names are relative to it.
type kubeconfigFile struct {
	CurrentContext string `yaml:"current-context"`
	Contexts       []struct {
		Name    string
		Context struct{ Cluster, User string }
	}
	Clusters []struct {
		Name    string
		Cluster struct {
			Server        string
			CA            string `yaml:"certificate-authority"`
			CAData        string `yaml:"certificate-authority-data"`
			TLSServerName string `yaml:"tls-server-name"`
			Insecure      bool   `yaml:"insecure-skip-tls-verify"`
		}
	}
	Users []struct {
		Name string
		User kubeconfigUser
	}
}

type kubeconfigUser struct {
	Cert      string `yaml:"client-certificate"`
	CertData  string `yaml:"client-certificate-data"`
	Key       string `yaml:"client-key"`
	KeyData   string `yaml:"client-key-data"`
	Token     string
	TokenFile string `yaml:"tokenFile"`
}

var errSignsIn = errors.New("its user signs in by a program or a password, which imgforge does not run: `imgforge kubeconfig` makes a file with a certificate of some hours")

// readKubeconfig is the API of the current context. An error holds nothing secret.
func readKubeconfig(path string) (*kubernetes, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var f kubeconfigFile
	if err := yaml.Unmarshal(data, &f); err != nil {
		return nil, errors.New("it is no YAML and no JSON")
	}
	cluster, user := "", ""
	for _, c := range f.Contexts {
		if c.Name == f.CurrentContext {
			cluster, user = c.Context.Cluster, c.Context.User
		}
	}
	out, config := &kubernetes{}, &tls.Config{MinVersion: tls.VersionTLS12}
	dir := filepath.Dir(path)
	for _, c := range f.Clusters {
		if c.Name != cluster {
			continue
		}
		if c.Cluster.Insecure {
			return nil, errors.New("it trusts any server (insecure-skip-tls-verify), and what a server says has user-data deleted: write certificate-authority-data instead")
		}
		out.server, config.ServerName = c.Cluster.Server, c.Cluster.TLSServerName
		if config.RootCAs, err = trusted(dir, c.Cluster.CA, c.Cluster.CAData); err != nil {
			return nil, err
		}
	}
	if !strings.HasPrefix(out.server, "https://") {
		return nil, fmt.Errorf("its current context %q names no server with https", f.CurrentContext)
	}
	for _, u := range f.Users {
		if u.Name == user {
			if err := out.signIn(dir, u.User, config); err != nil {
				return nil, err
			}
		}
	}
	if out.token == "" && len(config.Certificates) == 0 {
		return nil, errSignsIn
	}
	out.client = &http.Client{Timeout: clusterTimeout, Transport: &http.Transport{Proxy: http.ProxyFromEnvironment, TLSClientConfig: config},
		// Who asked is shown to the named server alone.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	return out, nil
}

// signIn takes the user's certificate or token.
func (k *kubernetes) signIn(dir string, u kubeconfigUser, config *tls.Config) error {
	cert, err := inlineOrFile(dir, u.Cert, u.CertData)
	if err != nil {
		return fmt.Errorf("its client certificate: %w", err)
	}
	key, err := inlineOrFile(dir, u.Key, u.KeyData)
	if err != nil {
		return fmt.Errorf("its client key: %w", err)
	}
	if len(cert) > 0 {
		pair, err := tls.X509KeyPair(cert, key)
		if err != nil {
			return fmt.Errorf("its client certificate and key: %w", err)
		}
		config.Certificates = []tls.Certificate{pair}
	}
	k.token = u.Token
	if k.token == "" && u.TokenFile != "" {
		text, err := inlineOrFile(dir, u.TokenFile, "")
		if err != nil {
			return fmt.Errorf("its token: %w", err)
		}
		k.token = strings.TrimSpace(string(text))
	}
	return nil
}

// trusted are the authorities of a server; nil leaves it to the system.
func trusted(dir, file, data string) (*x509.CertPool, error) {
	ca, err := inlineOrFile(dir, file, data)
	if err != nil || len(ca) == 0 {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(ca) {
		return nil, errors.New("its certificate authority is no certificate")
	}
	return pool, nil
}

// inlineOrFile is a value that stands in the file in base64, or in another one.
func inlineOrFile(dir, file, data string) ([]byte, error) {
	if data != "" {
		out, err := base64.StdEncoding.DecodeString(data)
		if err != nil {
			return nil, errors.New("it is not in base64")
		}
		return out, nil
	}
	if file == "" {
		return nil, nil
	}
	if !filepath.IsAbs(file) {
		file = filepath.Join(dir, file)
	}
	return os.ReadFile(file)
}
