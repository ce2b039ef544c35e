package bake

import (
	"fmt"
	"os"
)

// BuilderID names what this post-processor made.
const BuilderID = "imgforge.bake"

// RoleState is the State of an artifact that names the role whose disk it is.
const RoleState = "imgforge_role"

// Artifact is a baked disk in the output folder that imgforge wrote.
type Artifact struct {
	dir, file string
	role      string // "" for the disk of one node
}

// BuilderId is BuilderID.
func (a *Artifact) BuilderId() string { return BuilderID }

// Files is the disk.
func (a *Artifact) Files() []string { return []string{a.file} }

// Id is the path of the disk.
func (a *Artifact) Id() string { return a.file }

// String says what it is.
func (a *Artifact) String() string { return fmt.Sprintf("baked disk: %s", a.file) }

// State answers RoleState.
func (a *Artifact) State(name string) interface{} {
	if name == RoleState {
		return a.role
	}
	return nil
}

// Destroy removes the whole output folder, which this post-processor made.
func (a *Artifact) Destroy() error { return os.RemoveAll(a.dir) }
