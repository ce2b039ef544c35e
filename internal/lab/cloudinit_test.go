package lab

import "testing"

// What a cloud-config writes is found in each of the encodings that payloads use.
func TestCloudFile(t *testing.T) {
	const config = "#cloud-config\nwrite_files:\n" +
		"- {path: /plain, content: \"a\\n\"}\n" +
		"- {path: /base, encoding: b64, content: YSBiCg==}\n" +
		"- {path: /packed, encoding: gz+b64, content: H4sIAAAAAAAAA0tUSOICAKHpjS0EAAAA}\n" +
		"- {path: /odd, encoding: rot13, content: n}\n"
	for path, want := range map[string]string{"/plain": "a\n", "/base": "a b\n", "/packed": "a b\n"} {
		if got, err := cloudFile([]byte(config), path); err != nil || string(got) != want {
			t.Errorf("%s holds %q, %v; want %q", path, got, err, want)
		}
	}
	for _, path := range []string{"/odd", "/none"} {
		if _, err := cloudFile([]byte(config), path); err == nil {
			t.Errorf("%s is found", path)
		}
	}
}
