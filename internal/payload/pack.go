package payload

import (
	"bytes"
	"encoding/base64"
	"fmt"
)

// A packed cloud-config is text that every console takes: one MIME part, which
// cloud-init decodes and decompresses. It is used only where the plain one does
// not fit, because nobody can read it.
const (
	packedHead = "Content-Type: multipart/mixed; boundary=\"imgforge\"\nMIME-Version: 1.0\n\n--imgforge\n" +
		"Content-Type: application/gzip\nContent-Transfer-Encoding: base64\n\n"
	packedTail = "\n--imgforge--\n"
)

func pack(cloudConfig []byte) ([]byte, error) {
	z, err := gzipped(cloudConfig)
	if err != nil {
		return nil, err
	}
	out := append([]byte(packedHead), base64.StdEncoding.EncodeToString(z)...)
	return append(out, packedTail...), nil
}

// unpack is the cloud-config inside a packed one, or the payload as it is.
func unpack(payload []byte) ([]byte, error) {
	body, packed := bytes.CutPrefix(payload, []byte(packedHead))
	if !packed {
		return payload, nil
	}
	z, err := base64.StdEncoding.DecodeString(string(bytes.TrimSuffix(body, []byte(packedTail))))
	if err != nil {
		return nil, fmt.Errorf("unpack: %w", err)
	}
	return gunzip(z)
}
