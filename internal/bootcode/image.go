package bootcode

// Codes of container images and programs.
var imageCodes = [...]Code{}
