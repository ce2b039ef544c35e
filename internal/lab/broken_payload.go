package lab

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strings"
)

// payloadFile is what an Ignition payload writes at path.
func payloadFile(payload []byte, path string) ([]byte, error) {
	_, contents, err := findFile(payload, path)
	if err != nil {
		return nil, err
	}
	return decodeContents(contents)
}

// replaceFile is an Ignition payload with another file at path, as somebody would
// leave it who edits one by hand. All else stays as it was built.
func replaceFile(payload []byte, path string, change func(old []byte) ([]byte, error)) ([]byte, error) {
	config, contents, err := findFile(payload, path)
	if err != nil {
		return nil, err
	}
	old, err := decodeContents(contents)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	now, err := change(old)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if bytes.Equal(old, now) {
		return nil, fmt.Errorf("%s: the change changes nothing", path)
	}
	delete(contents, "compression")
	contents["source"] = "data:;base64," + base64.StdEncoding.EncodeToString(now)
	return json.Marshal(config)
}

// findFile decodes a payload and returns with it the contents of one of its files.
func findFile(payload []byte, path string) (config, contents map[string]any, err error) {
	if config, err = decodeConfig(payload); err != nil {
		return nil, nil, fmt.Errorf("decode the payload: %w", err)
	}
	storage, _ := config["storage"].(map[string]any)
	files, _ := storage["files"].([]any)
	for _, f := range files {
		file, _ := f.(map[string]any)
		if file["path"] != path {
			continue
		}
		if contents, ok := file["contents"].(map[string]any); ok {
			return config, contents, nil
		}
		break
	}
	return nil, nil, fmt.Errorf("the payload writes nothing at %s", path)
}

// decodeConfig decodes a payload, and the config packed in it where it is but a wrapping.
func decodeConfig(payload []byte) (config map[string]any, err error) {
	if err := json.Unmarshal(payload, &config); err != nil {
		return nil, err
	}
	packed := any(config)
	for _, key := range [...]string{"ignition", "config", "replace"} {
		inner, _ := packed.(map[string]any)
		packed = inner[key]
	}
	contents, ok := packed.(map[string]any)
	if !ok {
		return config, nil
	}
	inner, err := decodeContents(contents)
	if err != nil {
		return nil, err
	}
	config = nil
	err = json.Unmarshal(inner, &config)
	return config, err
}

// decodeContents reads a data URL of Ignition.
func decodeContents(contents map[string]any) ([]byte, error) {
	source, _ := contents["source"].(string)
	kind, text, found := strings.Cut(source, ",")
	if !found || !strings.HasPrefix(kind, "data:") {
		return nil, errors.New("its contents are not in the payload")
	}
	plain, err := url.PathUnescape(text)
	data := []byte(plain)
	if strings.HasSuffix(kind, ";base64") {
		data, err = base64.StdEncoding.DecodeString(plain)
	}
	if err != nil {
		return nil, err
	}
	if contents["compression"] != "gzip" {
		return data, nil
	}
	r, err := gzip.NewReader(bytes.NewReader(data))
	if err != nil {
		return nil, err
	}
	return io.ReadAll(r)
}
