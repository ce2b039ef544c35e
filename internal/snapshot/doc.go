// Package snapshot is the form of a sealed snapshot of etcd: its name, what it says
// of itself, how it is sealed and checked, and which of many stay. It opens no file.
//
// A sealed snapshot is an age file. What age opens is one line of JSON, the [Label],
// and then the snapshot as `etcdctl snapshot save` writes it, which ends with a
// SHA-256 of itself. So `age -d FILE | tail -n +2` gets back what etcdutl restores.
package snapshot
