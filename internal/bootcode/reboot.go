package bootcode

// Codes of the reboot guard.
var rebootCodes = [...]Code{}
