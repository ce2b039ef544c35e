package fake

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"strings"
)

// signed checks the signature (version 4) of a request to Object Storage and that its
// body is what was signed. The access key may name a project behind an @.
func signed(r *http.Request, data []byte) *storageError {
	scheme, rest, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	fields := map[string]string{}
	for f := range strings.SplitSeq(rest, ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(f), "=")
		fields[name] = value
	}
	scope := strings.Split(fields["Credential"], "/")
	if scheme != "AWS4-HMAC-SHA256" || len(scope) != 5 {
		return &storageError{http.StatusForbidden, "AccessDenied", "the request is not signed"}
	}
	key, project, named := strings.Cut(scope[0], "@")
	if key != AccessKey || named && project != Project {
		return &storageError{http.StatusForbidden, "InvalidAccessKeyId", "the access key is unknown in this project"}
	}
	if scope[2] != string(Region) {
		return &storageError{http.StatusBadRequest, "AuthorizationHeaderMalformed", "the region is " + string(Region)}
	}
	sum := sha256.Sum256(data)
	if said := r.Header.Get("X-Amz-Content-Sha256"); said != hex.EncodeToString(sum[:]) && !(said == "UNSIGNED-PAYLOAD" && len(data) == 0) {
		return &storageError{http.StatusBadRequest, "XAmzContentSHA256Mismatch", "the body is not what was signed"}
	}
	canonical := sha256.Sum256([]byte(canonicalRequest(r, fields["SignedHeaders"])))
	text := strings.Join([]string{scheme, r.Header.Get("X-Amz-Date"), strings.Join(scope[1:], "/"), hex.EncodeToString(canonical[:])}, "\n")
	mac := []byte("AWS4" + SecretKey)
	for _, part := range append(scope[1:], text) {
		h := hmac.New(sha256.New, mac)
		h.Write([]byte(part))
		mac = h.Sum(nil)
	}
	if hex.EncodeToString(mac) != fields["Signature"] {
		return &storageError{http.StatusForbidden, "SignatureDoesNotMatch", "the signature is another"}
	}
	return nil
}

func canonicalRequest(r *http.Request, headers string) string {
	lines := []string{r.Method, r.URL.EscapedPath(), strings.ReplaceAll(r.URL.Query().Encode(), "+", "%20")}
	for name := range strings.SplitSeq(headers, ";") {
		value := strings.Join(strings.Fields(r.Header.Get(name)), " ")
		if name == "host" {
			value = r.Host
		}
		lines = append(lines, name+":"+value)
	}
	return strings.Join(append(lines, "", headers, r.Header.Get("X-Amz-Content-Sha256")), "\n")
}
