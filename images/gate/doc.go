// Package gate looks over a finished disk before anybody gets it: for keys of the
// cluster where they must not be, and for what a base should not bring, such as
// private keys, passwords, SSH keys, users that somebody built it with, and an
// identity that every machine would share. It changes nothing.
package gate
