// Package proof holds no code: its tests drive the whole product as a user
// does and let the real consumers of what comes out judge it: Ignition,
// cloud-init, haproxy, keepalived, nft, systemd, openssl, etcd, tinc,
// WireGuard. What a unit test of a package can show is not repeated here.
package proof
