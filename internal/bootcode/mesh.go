package bootcode

// Codes of the mesh.
var meshCodes = [...]Code{}
