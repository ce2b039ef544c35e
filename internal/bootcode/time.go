package bootcode

// Codes of the clock.
var timeCodes = [...]Code{}
