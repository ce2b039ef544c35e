// Package plan makes every decision that a cluster file leaves open: nodes and
// slots, addresses, peers, certificates, windows, MTUs, images, identifiers,
// budgets. It is pure: no file, clock, randomness or network.
package plan

// Plan is everything that follows from a cluster file and from what its store
// already anchors. Lists are sorted and stable; the JSON of a plan is what
// `imgforge plan --json` prints, and holds no secret.
type Plan struct {
	Cluster      string        `json:"cluster"`
	Kubernetes   Kubernetes    `json:"kubernetes"`
	Endpoint     Endpoint      `json:"endpoint"`
	Network      Network       `json:"network"`
	OS           OS            `json:"os"`
	Platform     Platform      `json:"platform"`
	Etcd         Etcd          `json:"etcd"`
	Ingress      Ingress       `json:"ingress"`
	Addons       Addons        `json:"addons"`
	Settings     Settings      `json:"settings"`
	Roles        []Role        `json:"roles"`
	Nodes        []Node        `json:"nodes"`
	Operators    []Operator    `json:"operators,omitempty"`
	Images       Images        `json:"images"`
	Ports        []Port        `json:"ports"`
	Certificates []Certificate `json:"certificates"`
	Keys         []Key         `json:"keys"`
	// LatestBoot is the last instant (RFC 3339, UTC) at which an artifact made
	// from this plan and its store can boot: the earliest NotAfter of the leaves
	// it carries. Empty before the leaves are issued.
	LatestBoot string `json:"latestBoot,omitempty"`
	// Notes are things a careful operator would want to know, in words.
	Notes []string `json:"notes,omitempty"`
}

// Facts is what the store knows and a plan needs; the zero value is a cluster
// that has no store yet.
type Facts struct {
	// Anchors freezes the slots per role (master, proxy, worker), so that raising a
	// count within the reserve changes no other node and founders stay founders.
	Anchors map[string]Anchor `json:"anchors,omitempty"`
	// LatestBoot is copied into the plan.
	LatestBoot string `json:"latestBoot,omitempty"`
	// Secrets are the names of user secrets that the store holds.
	Secrets []string `json:"secrets,omitempty"`
}

// Anchor is a role's count and reserve when its slots were last issued. While the
// new count fits them and the reserve is unchanged, or count and reserve still add up
// to the same, the slots stay exactly those; otherwise they are planned anew.
type Anchor struct {
	Count   int `json:"count"`
	Reserve int `json:"reserve"`
	// Founding is the count of the very first issue. It outlives every growth: the
	// masters that may found etcd stay the same ones.
	Founding int `json:"founding"`
}

// Slots is the number of slots that the anchor holds.
func (a Anchor) Slots() int { return a.Count + a.Reserve }

// holds tells whether a count and reserve are served by the anchored slots.
func (a Anchor) holds(count, reserve int) bool {
	return count+reserve == a.Slots() || reserve == a.Reserve && count <= a.Slots()
}

// Kubernetes is the version and what depends on it.
type Kubernetes struct {
	Version       string `json:"version"` // without v
	Minor         int    `json:"minor"`   // 34, 35 or 36
	PodCIDR       string `json:"podCIDR"`
	ServiceCIDR   string `json:"serviceCIDR"`
	ClusterDomain string `json:"clusterDomain"`
	ServiceIP     string `json:"serviceIP"` // the first address: kubernetes.default
	DNSIP         string `json:"dnsIP"`     // the tenth
	NodeMask      int    `json:"nodeMask"`  // prefix length of a node's pod network
	ProxyMode     string `json:"proxyMode"`
	MaxPods       int    `json:"maxPods"`
	// Flags are the complete flag lists, sorted by name, of etcd, kube-apiserver,
	// kube-controller-manager, kube-scheduler and kubelet that are the same on
	// every node. A value may hold the words ${NODE}, ${ADDRESS}: the profile fills them per node.
	Flags map[string][]Flag `json:"flags"`
}

// Flag is one command line flag.
type Flag struct {
	Name  string `json:"name"` // without dashes
	Value string `json:"value"`
}

// Endpoint is how the API is reached.
type Endpoint struct {
	Mode          string   `json:"mode"`              // vip | local
	Address       string   `json:"address,omitempty"` // the VIP
	Host          string   `json:"host"`              // what kubeconfigs name: the VIP, or 127.0.0.1
	Port          int      `json:"port"`              // haproxy
	APIServerPort int      `json:"apiserverPort"`     // 8443
	URL           string   `json:"url"`               // https://host:port
	Access        []string `json:"access,omitempty"`
	// Internal is the name in apiserver certificates that kubeconfigs may use besides addresses.
	SANs []string `json:"sans,omitempty"`
}

// Network is the mesh and its layers.
type Network struct {
	Mesh        string `json:"mesh"` // tinc | wireguard | none
	CIDR        string `json:"cidr"`
	PrefixLen   int    `json:"prefixLen"`
	Port        int    `json:"port,omitempty"`
	Interface   string `json:"interface"` // tinc: mesh0, wireguard: wg0, none: the nodes' own ("" = default route)
	NetName     string `json:"netName"`   // tinc net name and file stem
	TincVersion string `json:"tincVersion,omitempty"`
	Gateway     string `json:"gateway,omitempty"`
	MTU         MTU    `json:"mtu"`
	VRRPID      int    `json:"vrrpID,omitempty"`      // masters
	VRRPIDProxy int    `json:"vrrpIDProxy,omitempty"` // proxies
}

// MTU is the largest packet of each layer, in bytes.
type MTU struct {
	Underlay int `json:"underlay"`
	Mesh     int `json:"mesh"` // of the mesh interface; equals Underlay when mesh is none
	Pod      int `json:"pod"`  // inside VXLAN over the mesh
}

// OS is the node's operating system.
type OS struct {
	Family          string `json:"family"`
	Channel         string `json:"channel"`
	Arch            string `json:"arch"`
	Format          string `json:"format"`          // ignition | cloud-init
	Variant         string `json:"variant"`         // butane variant: flatcar | fcos
	VariantVersion  string `json:"variantVersion"`  // flatcar 1.1.0 -> spec 3.4.0, 1.0.0 -> 3.3.0, fcos 1.6.0 -> 3.5.0
	IgnitionVersion string `json:"ignitionVersion"` // 3.3.0 | 3.4.0 | 3.5.0
	NetworkManager  bool   `json:"networkManager"`  // fcos; else systemd-networkd
	Updater         string `json:"updater"`         // locksmith | zincati | unattended-upgrades
}

// Platform is the provider and how it hands over user-data.
type Platform struct {
	Provider string `json:"provider"`
	Zone     string `json:"zone,omitempty"`
	Budget   Budget `json:"budget"`
	// Drive is the drive the OS reads there: config-2 | cidata | "" (none).
	Drive string `json:"drive,omitempty"`
	// Delivery says in words how user-data reaches a node when no drive is read.
	Delivery      string `json:"delivery"`
	PrivateDomain string `json:"privateDomain,omitempty"`
	// Metadata lists the addresses that pods must not reach.
	Metadata []string `json:"metadata"`
	// Scaleway is what servers there are made of; nil elsewhere.
	Scaleway *Scaleway `json:"scaleway,omitempty"`
}

// Scaleway is what `imgforge up scaleway` makes servers of, besides their type. Sizes are in GB.
type Scaleway struct {
	Egress   string `json:"egress"` // publicIP | gateway | none
	Image    string `json:"image,omitempty"`
	RootSize int    `json:"rootSize"`
	// PublicIPKeyRef names the secret with which proxies move their role's address.
	PublicIPKeyRef string `json:"publicIPKeyRef,omitempty"`
	DataSize       int    `json:"dataSize"`
}

// Budget is a provider's limit on user-data.
type Budget struct {
	Bytes  int    `json:"bytes"`  // 0: no practical limit
	Base64 bool   `json:"base64"` // counted after base64
	Source string `json:"source"` // where the number comes from
}

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

// Ingress is what proxies forward to workers.
type Ingress struct {
	HTTP  int `json:"http"`
	HTTPS int `json:"https"`
}

// Addons says what is applied on first boot.
type Addons struct {
	CNI           string `json:"cni"`
	KubeProxy     bool   `json:"kubeProxy"`
	CoreDNS       bool   `json:"coreDNS"`
	MetricsServer bool   `json:"metricsServer"`
}

// Settings are node settings that need no decision.
type Settings struct {
	Delivery     string     `json:"delivery"`
	ArtifactsURL string     `json:"artifactsURL,omitempty"`
	NTP          []string   `json:"ntp,omitempty"`
	DNS          []string   `json:"dns,omitempty"`
	Timezone     string     `json:"timezone"`
	HTTPProxy    string     `json:"httpProxy,omitempty"`
	HTTPSProxy   string     `json:"httpsProxy,omitempty"`
	NoProxy      []string   `json:"noProxy,omitempty"` // complete, the cluster's own included
	Registries   []Registry `json:"registries,omitempty"`
	OIDC         *OIDC      `json:"oidc,omitempty"`
	Extra        Extra      `json:"extra"`
}

// Registry is one container registry; the password stays in the store.
type Registry struct {
	Host      string   `json:"host"`
	Mirrors   []string `json:"mirrors,omitempty"`
	CA        string   `json:"ca,omitempty"`
	Username  string   `json:"username,omitempty"`
	SecretKey string   `json:"secretKey,omitempty"` // Key.ID of the password: user/<name>
}

// OIDC is an issuer of people's tokens.
type OIDC struct {
	Issuer         string `json:"issuer"`
	ClientID       string `json:"clientID"`
	UsernameClaim  string `json:"usernameClaim"`
	UsernamePrefix string `json:"usernamePrefix"`
	GroupsClaim    string `json:"groupsClaim"`
	GroupsPrefix   string `json:"groupsPrefix"`
	CA             string `json:"ca,omitempty"`
}

// Extra is the user's own Butane.
type Extra struct {
	All    string `json:"all,omitempty"`
	Master string `json:"master,omitempty"`
	Proxy  string `json:"proxy,omitempty"`
	Worker string `json:"worker,omitempty"`
}

// Role is one kind of node.
type Role struct {
	Name     string            `json:"name"`  // master | proxy | worker
	Count    int               `json:"count"` // nodes that exist
	Slots    int               `json:"slots"` // nodes that are prepared, the reserve included
	Taints   []Taint           `json:"taints,omitempty"`
	Labels   map[string]string `json:"labels,omitempty"`
	PublicIP string            `json:"publicIP,omitempty"`
	DataDisk string            `json:"dataDisk,omitempty"`
	RootDisk string            `json:"rootDisk,omitempty"`
	Type     string            `json:"type,omitempty"`
	Image    string            `json:"image,omitempty"` // sealed, by its ID at the provider
}

// Taint is a Kubernetes taint.
type Taint struct {
	Key    string `json:"key"`
	Value  string `json:"value,omitempty"`
	Effect string `json:"effect"`
}

// Node is one slot, whether a machine fills it today or not.
type Node struct {
	Name     string `json:"name"`
	Role     string `json:"role"`
	Slot     int    `json:"slot"` // from 1
	Reserved bool   `json:"reserved,omitempty"`
	Address  string `json:"address"`            // inside Network.CIDR
	PodCIDR  string `json:"podCIDR,omitempty"`  // informative: allocated by the controller manager
	PublicIP string `json:"publicIP,omitempty"` // its own public address
	// MeshName is the node's name in tinc: hyphens become underscores.
	MeshName string `json:"meshName,omitempty"`
	Hub      bool   `json:"hub,omitempty"`
	// Endpoint is host[:port] at which peers reach it; "" for a node that only dials out.
	Endpoint string   `json:"endpoint,omitempty"`
	Peers    []string `json:"peers,omitempty"` // node and operator names its mesh configuration carries
	Dials    []string `json:"dials,omitempty"` // the peers it connects to, hubs first

	MAC       string            `json:"mac,omitempty"`
	Interface string            `json:"interface,omitempty"`
	Labels    map[string]string `json:"labels,omitempty"`
	Type      string            `json:"type,omitempty"`
	RootDisk  string            `json:"rootDisk,omitempty"`
	DataDisk  string            `json:"dataDisk,omitempty"`
	Window    *Window           `json:"window,omitempty"`
	// VRRPPriority orders masters (and proxies): slot 1 first.
	VRRPPriority int `json:"vrrpPriority,omitempty"`
	// GUID and InstanceID are derived from cluster and node name.
	GUID       string `json:"guid"`
	InstanceID string `json:"instanceID"`
}

// Window is the node's own part of its role's reboot window.
type Window struct {
	Start    string   `json:"start"`  // HH:MM
	Length   string   `json:"length"` // Go duration, whole minutes: 15m0s
	Minutes  int      `json:"minutes"`
	Days     []string `json:"days,omitempty"` // at most one; empty: every day
	Timezone string   `json:"timezone"`
}

// Operator is a person's laptop in the mesh.
type Operator struct {
	Name     string `json:"name"`
	MeshName string `json:"meshName"`
	Address  string `json:"address"`
}

// Images is the one table of container images: the lock and the lab replace
// single entries by reference.
type Images struct {
	APIServer         string `json:"kube-apiserver"`
	ControllerManager string `json:"kube-controller-manager"`
	Scheduler         string `json:"kube-scheduler"`
	KubeProxy         string `json:"kube-proxy"`
	Etcd              string `json:"etcd"`
	CoreDNS           string `json:"coredns"`
	Pause             string `json:"pause"`
	HAProxy           string `json:"haproxy"`
	Keepalived        string `json:"keepalived"`
	Flannel           string `json:"flannel"`
	FlannelCNI        string `json:"flannel-cni-plugin"`
	MetricsServer     string `json:"metrics-server"`
}

// Port is one listener that a role opens on other than loopback addresses, and
// who may reach it: the firewall is made from this list alone.
type Port struct {
	Role  string `json:"role"`  // master | proxy | worker
	Proto string `json:"proto"` // tcp | udp | vrrp (IP protocol 112, which has no port)
	Port  int    `json:"port,omitempty"`
	To    int    `json:"to,omitempty"` // last port of a range
	// From is who may send: world (anyone), underlay (anyone, arriving outside the
	// mesh), mesh (every node, or its address when mesh is none), masters, proxies
	// (their addresses in Network.CIDR, reserved slots included), pods
	// (Kubernetes.PodCIDR), access (Endpoint.Access).
	From string `json:"from"`
	For  string `json:"for"` // what listens there
}

// Certificate is a leaf to issue. Its ID is <node>/<name>, or cluster/<name>.
type Certificate struct {
	ID        string   `json:"id"`
	Authority string   `json:"authority"` // kubernetes | etcd | front-proxy | kubelet-signer
	Profile   string   `json:"profile"`   // server | client | peer (server+client)
	CN        string   `json:"cn"`
	O         []string `json:"o,omitempty"`
	DNS       []string `json:"dns,omitempty"`
	IPs       []string `json:"ips,omitempty"`
	Role      string   `json:"role"` // master | proxy | worker
	Node      string   `json:"node"` // "" for a cluster-wide one
	Days      int      `json:"days"`
}

// Key is a secret that is not a certificate.
type Key struct {
	// ID: service-account, encryption, signing, <node>/tinc-rsa, <node>/tinc-ed25519,
	// <node>/wireguard, <node>/claim, operator/<name>/..., user/<name>.
	ID   string `json:"id"`
	Kind string `json:"kind"` // rsa | ecdsa | ed25519 | tinc-rsa | tinc-ed25519 | wireguard | random32 | user
	Role string `json:"role,omitempty"`
	Node string `json:"node,omitempty"`
	// Public tells that the public half may be shown and stored in the clear.
	Public bool `json:"public,omitempty"`
}

// Role looks a role up by name.
func (p *Plan) Role(name string) (Role, bool) {
	for _, r := range p.Roles {
		if r.Name == name {
			return r, true
		}
	}
	return Role{}, false
}

// Node looks a node up by name.
func (p *Plan) Node(name string) (Node, bool) {
	for i := range p.Nodes { // a node is large to copy, and a cluster may have a thousand
		if p.Nodes[i].Name == name {
			return p.Nodes[i], true
		}
	}
	return Node{}, false
}

// NodesOf lists a role's slots, reserved ones included, in slot order.
func (p *Plan) NodesOf(role string) []Node {
	r, _ := p.Role(role)
	out := make([]Node, 0, r.Slots)
	for i := range p.Nodes {
		if p.Nodes[i].Role == role {
			out = append(out, p.Nodes[i])
		}
	}
	return out
}
