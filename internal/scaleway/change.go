package scaleway

import (
	"cmp"
	"fmt"
)

// Kind is what a change does.
type Kind string

// The changes, in the words in which they are shown.
const (
	CreateNetwork   Kind = "create private network"
	CreateGroup     Kind = "create security group"
	SetRules        Kind = "set rules of security group"
	CreatePlacement Kind = "create placement group"
	BookAddress     Kind = "book address"
	CreateIP        Kind = "create flexible IP"
	CreateServer    Kind = "create server"
	TagRoot         Kind = "tag root volume of"
	CreateVolume    Kind = "create volume"
	AttachVolume    Kind = "attach volume"
	CreateNIC       Kind = "connect to the private network"
	AttachIP        Kind = "attach flexible IP to"
	SetUserData     Kind = "set user-data of"
	DeleteUserData  Kind = "delete user-data of"
	PowerOn         Kind = "power on"
	AwaitRunning    Kind = "wait until it runs:"

	CreateBucket   Kind = "create bucket"
	BeginUpload    Kind = "begin the upload of"
	UploadPart     Kind = "upload"
	CompleteUpload Kind = "complete the upload of"
	ImportSnapshot Kind = "import as snapshot"
	AwaitSnapshot  Kind = "wait until it is imported: snapshot"
	CreateImage    Kind = "create image"
	AwaitImage     Kind = "wait until it is available: image"
	AbortUpload    Kind = "abort the upload of"
	RemoveObject   Kind = "remove object"
	RemoveBucket   Kind = "remove bucket"
	DeleteImage    Kind = "delete image"
	DeleteSnapshot Kind = "delete snapshot"

	LookAgain Kind = "look once more at"

	AwaitStable     Kind = "wait until it is no longer on its way:"
	PowerOff        Kind = "power off"
	AwaitStopped    Kind = "wait until it is off:"
	DeleteServer    Kind = "delete server"
	DeleteVolume    Kind = "delete volume"
	DeleteIP        Kind = "delete flexible IP"
	DeleteGroup     Kind = "delete security group"
	DeletePlacement Kind = "delete placement group"
	ReleaseAddress  Kind = "release address"
	DeleteNetwork   Kind = "delete private network"
)

// Change is one call, or one wait, that brings what exists nearer to what is wanted.
type Change struct {
	Kind Kind
	Name string // of the object, as people know it
	// Of is what it belongs to: a node or a role.
	Of     string
	Detail string
	// ID is the object's, where it exists and its name may not be unique.
	ID string
}

// String is a change as it is shown before and while it happens.
func (c Change) String() string {
	text := fmt.Sprintf("%s %s", c.Kind, cmp.Or(c.Name, c.Of))
	if c.Detail != "" {
		text += " (" + c.Detail + ")"
	}
	return text
}

// creates tells whether an attempt that failed halfway may have left a new object.
func (c Change) creates() bool {
	switch c.Kind {
	case CreateNetwork, CreateGroup, CreatePlacement, BookAddress, CreateIP, CreateServer, CreateVolume, CreateNIC, BeginUpload, ImportSnapshot, CreateImage:
		return true
	}
	return false
}
