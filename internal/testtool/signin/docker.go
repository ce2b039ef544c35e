package signin

import (
	"encoding/base64"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
)

// Ways lists how people leave credentials for a registry: what docker login writes, with
// a password or with an identity token, and a program that keeps them, for one registry
// or for all. Each is set up by calling it: it puts DOCKER_CONFIG, and where there is a
// program PATH, into the environment of the test.
func Ways(host string) map[string]func(t *testing.T) {
	auth := base64.StdEncoding.EncodeToString([]byte(User + ":" + Password))
	return map[string]func(t *testing.T){
		"auth": func(t *testing.T) {
			config(t, map[string]any{"auths": map[string]any{host: map[string]string{"auth": auth}}})
		},
		"name": func(t *testing.T) {
			config(t, map[string]any{"auths": map[string]any{host: map[string]string{"username": User, "password": Password}}})
		},
		"one's helper": func(t *testing.T) {
			program(t, host)
			config(t, map[string]any{"credHelpers": map[string]string{host: "loopback"}})
		},
		"all's helper": func(t *testing.T) {
			program(t, host)
			config(t, map[string]any{"auths": map[string]any{host: map[string]string{}}, "credsStore": "loopback"})
		},
	}
}

// Identity leaves an identity token, which token servers alone take.
func Identity(t *testing.T, host string) {
	config(t, map[string]any{"auths": map[string]any{host: map[string]string{"identitytoken": IdentityToken}}})
}

// Wrong leaves a password that nobody takes, and returns it.
func Wrong(t *testing.T, host string) string {
	const password = "a-wrong-one-for-this-registry"
	config(t, map[string]any{"auths": map[string]any{host: map[string]string{"username": User, "password": password}}})
	return password
}

// None leaves nothing.
func None(t *testing.T) { config(t, map[string]any{}) }

func config(t *testing.T, v any) {
	t.Helper()
	data, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "config.json"), data, 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("DOCKER_CONFIG", dir)
}

// program puts a credential helper on PATH that answers for one registry as
// docker-credential-* programs do.
func program(t *testing.T, host string) {
	t.Helper()
	dir := t.TempDir()
	answer, err := json.Marshal(map[string]string{"ServerURL": host, "Username": User, "Secret": Password})
	if err != nil {
		t.Fatal(err)
	}
	script := "#!/bin/sh\nread -r server\n[ \"$1 $server\" = 'get " + host + "' ] || { echo 'credentials not found in native keychain'; exit 1; }\ncat <<'END'\n" + string(answer) + "\nEND\n"
	if err := os.WriteFile(filepath.Join(dir, "docker-credential-loopback"), []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+string(os.PathListSeparator)+os.Getenv("PATH"))
}
