package plan

// Etcd is the store's membership.
type Etcd struct {
	Founded     bool     `json:"founded"`
	RestoreFrom string   `json:"restoreFrom,omitempty"`
	Token       string   `json:"token"`    // initial-cluster-token, derived from the cluster name
	Founders    []string `json:"founders"` // node names, the founding slots
	DataDisk    string   `json:"dataDisk,omitempty"`
	// Abandon is the cluster whose data may be moved aside for a restore.
	Abandon  string   `json:"abandon,omitempty"`
	Snapshot Snapshot `json:"snapshot"`
}

// Snapshot is when snapshots of etcd are taken, and which stay where.
type Snapshot struct {
	Enabled bool   `json:"enabled"`
	Every   string `json:"every"` // as Go writes durations
	Last    int    `json:"last"`
	Daily   int    `json:"daily"`
	Weekly  int    `json:"weekly"`
	S3      *S3    `json:"s3,omitempty"`
}

// S3 is a bucket; the keys are the store's.
type S3 struct {
	Endpoint  string `json:"endpoint"`
	Region    string `json:"region"`
	Bucket    string `json:"bucket"`
	Prefix    string `json:"prefix"`
	AccessKey string `json:"accessKey"` // ID of the key in the store
	SecretKey string `json:"secretKey"`
	CA        string `json:"ca,omitempty"`
}
