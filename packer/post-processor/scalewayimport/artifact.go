package scalewayimport

import (
	"fmt"

	"github.com/imgforge/imgforge/packer/post-processor/bake"
)

// BuilderID names what this post-processor made.
const BuilderID = "imgforge.scaleway-import"

// Artifact is an image at Scaleway.
type Artifact struct{ role, image, digest string }

// BuilderId is BuilderID.
func (a *Artifact) BuilderId() string { return BuilderID }

// Files is empty: the image is not on this machine.
func (a *Artifact) Files() []string { return nil }

// Id is the image's ID, which is what roles.ROLE.image in the cluster file wants.
func (a *Artifact) Id() string { return a.image }

// String says what it is.
func (a *Artifact) String() string {
	return fmt.Sprintf("image at Scaleway for role %s: %s (%s)", a.role, a.image, a.digest)
}

// State answers bake.RoleState.
func (a *Artifact) State(name string) interface{} {
	if name == bake.RoleState {
		return a.role
	}
	return nil
}

// Destroy fails: servers may be made from the image already, and imgforge removes images
// only when newer ones take their place.
func (a *Artifact) Destroy() error {
	return fmt.Errorf("the image %s stays at Scaleway: remove it there if nothing boots from it", a.image)
}
