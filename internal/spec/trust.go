package spec

import (
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"strings"
)

// pemForm checks that a text is nothing but certificates.
func pemForm(s string) (message, fix string) {
	const example = "write the authority's certificate as PEM below `ca: |`, from -----BEGIN CERTIFICATE----- to -----END CERTIFICATE-----"
	rest, n := []byte(strings.TrimSpace(s)), 0
	for len(rest) > 0 {
		block, after := pem.Decode(rest)
		if block == nil {
			return "is not PEM", example
		}
		if block.Type != "CERTIFICATE" {
			return fmt.Sprintf("holds a PEM block of type %s", quote(block.Type)), example
		}
		if n++; len(block.Headers) > 0 {
			return fmt.Sprintf("certificate %d has PEM headers", n), "remove them"
		}
		if _, err := x509.ParseCertificate(block.Bytes); err != nil {
			return fmt.Sprintf("certificate %d cannot be read: %v", n, err), example
		}
		rest = []byte(strings.TrimSpace(string(after)))
	}
	if n == 0 {
		return "holds no certificate", example
	}
	return "", ""
}

// trust checks lifetimes, people's tokens and registries.
func (k *check) trust() {
	if p := k.PKI; p.LeafDays >= p.AuthorityDays {
		k.err("pki.leafDays", fmt.Sprintf("leaves of %d days outlive authorities of %d days", p.LeafDays, p.AuthorityDays), "write fewer days than pki.authorityDays")
	} else if p.LeafDays > 0 && p.LeafDays < 30 {
		k.warn("pki.leafDays", fmt.Sprintf("after %d days nothing built today can boot", p.LeafDays), "write 365, unless artifacts are rebuilt that often")
	}
	if o := k.OIDC; o != nil {
		for _, claim := range []struct{ path, value string }{{"oidc.usernameClaim", o.UsernameClaim}, {"oidc.groupsClaim", o.GroupsClaim}} {
			if claim.value == "" || strings.ContainsAny(claim.value, " \"'\\") {
				k.err(claim.path, quote(claim.value)+" is not the name of a claim", "write one such as email or groups")
			}
		}
		if o.UsernamePrefix == "" {
			k.warn("oidc.usernamePrefix", "without a prefix the issuer can name users of the cluster itself", `write "oidc:"`)
		}
		for _, prefix := range []struct{ path, value string }{{"oidc.usernamePrefix", o.UsernamePrefix}, {"oidc.groupsPrefix", o.GroupsPrefix}} {
			if strings.HasPrefix(prefix.value, "system:") {
				k.err(prefix.path, quote(prefix.value)+" is reserved for Kubernetes itself", `write "oidc:"`)
			}
		}
		if o.GroupsPrefix == "" {
			k.warn("oidc.groupsPrefix", "without a prefix the issuer can put people into groups of the cluster itself", `write "oidc:"`)
		}
	}
	k.registries()
}

func (k *check) registries() {
	hosts := map[string]int{}
	for i, r := range k.Registries {
		path := item("registries", i)
		if first, taken := hosts[r.Host]; taken && r.Host != "" {
			k.err(path+".host", quote(r.Host)+" is "+item("registries", first)+" as well", "write every registry once")
		} else {
			hosts[r.Host] = i
		}
		k.repeats(path+".mirrors", r.Mirrors)
		switch {
		case r.Username != "" && r.PasswordRef == "" && !k.src.has(path+".passwordRef"):
			if !k.src.doubtful(path + ".password") {
				k.err(path, "has a username and no password", "run `imgforge secret set NAME` and write passwordRef: NAME")
			}
		case r.PasswordRef != "" && r.Username == "":
			k.err(path, "has a password and no username", "write username")
		case len(r.Mirrors) == 0 && r.CA == "" && r.Username == "" && !k.src.has(path+".password"):
			k.warn(path, "changes nothing", "write mirrors, ca or username, or remove it")
		}
	}
}
