package userdata

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"unicode/utf8"
)

// Kind says in words what user-data looks like, without a byte of it: it may hold keys.
func Kind(data []byte) string {
	text := bytes.TrimSpace(data)
	begins := func(prefix string) bool { return bytes.HasPrefix(text, []byte(prefix)) }
	var config struct {
		Ignition json.RawMessage `json:"ignition"`
	}
	what := "text of another kind"
	switch {
	case len(text) == 0:
		what = "nothing but white space"
	case json.Unmarshal(text, &config) == nil && config.Ignition != nil:
		what = "an Ignition config"
	case json.Valid(text):
		what = "JSON of another kind"
	case begins("{"):
		what = "JSON that is cut short or damaged"
	case begins("#cloud-config"):
		what = "a cloud-config"
	case begins("#!"):
		what = "a script"
	case begins("## template: jinja"), begins("#include"), begins("#part-handler"), begins("#cloud-boothook"):
		what = "user-data for cloud-init"
	case begins("Content-Type:"), begins("MIME-Version:"):
		what = "a MIME archive for cloud-init"
	case begins("variant:"):
		what = "a Butane config, which no machine reads"
	case begins("\x1f\x8b"):
		what = "something compressed with gzip"
	case begins("<"):
		what = "a page of HTML or XML"
	case begins("age-encryption.org/"), begins("-----BEGIN "):
		what = "a key, a certificate or something encrypted"
	case inBase64(text):
		what = "a claim line in base64: give it as it is"
	case !utf8.Valid(text):
		what = "binary data"
	}
	return fmt.Sprintf("%s (%d bytes)", what, len(data))
}

func inBase64(text []byte) bool {
	plain, err := base64.StdEncoding.DecodeString(string(text))
	return err == nil && bytes.HasPrefix(bytes.TrimSpace(plain), []byte("imgforge-claim-"))
}
