package bootcode

// Codes of the kubelet and the control plane.
var controlPlaneCodes = [...]Code{}
