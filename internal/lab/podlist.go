package lab

// podList is a list of pods as the API gives it.
type podList struct {
	Items []struct {
		Metadata struct {
			Name              string  `json:"name"`
			DeletionTimestamp *string `json:"deletionTimestamp"`
		} `json:"metadata"`
		Spec struct {
			NodeName string `json:"nodeName"`
		} `json:"spec"`
		Status struct {
			Phase, Reason string
			Conditions    []struct{ Type, Status string }
		} `json:"status"`
	} `json:"items"`
}

// listedPod is a pod as the API knows it. One that is on its way out is not Ready.
type listedPod struct {
	name, node     string
	phase, reason  string
	ready, leaving bool
}

func (l podList) pods() (out []listedPod) {
	for _, item := range l.Items {
		p := listedPod{name: item.Metadata.Name, node: item.Spec.NodeName, phase: item.Status.Phase, reason: item.Status.Reason,
			leaving: item.Metadata.DeletionTimestamp != nil}
		for _, c := range item.Status.Conditions {
			p.ready = p.ready || c.Type == "Ready" && c.Status == "True" && !p.leaving
		}
		out = append(out, p)
	}
	return out
}
