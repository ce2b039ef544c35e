package bootcode

// Codes of what masters apply.
var addonCodes = [...]Code{}
