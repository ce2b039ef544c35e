// Package spec is the cluster file: what people write, its defaults, its checks
// and its schema. It reads bytes and returns values and located problems; it
// opens no file and decides nothing that [plan] can decide.
package spec

// The struct tags of this file are the single source of the decoder, the
// defaults, the JSON Schema and docs/cluster-file.md:
//
//	yaml     the key
//	doc      one sentence for the reference
//	default  the value of a field that was left out, as YAML
//	enum     the allowed values, separated by |
//	format   the syntax of a text, one of those in format.go
//	required "true" when a value must be written
//	min, max the range of a number
//	eg       an example for the reference

// Cluster is the whole file.
type Cluster struct {
	APIVersion string     `yaml:"apiVersion" doc:"Version of this format." enum:"imgforge/v1alpha1" default:"imgforge/v1alpha1"`
	Kind       string     `yaml:"kind" doc:"Kind of this document." enum:"Cluster" default:"Cluster"`
	Name       string     `yaml:"name" doc:"Cluster name: part of host names, certificates and derived identifiers, so it never changes. A DNS label of at most 40 characters." format:"name" eg:"nostromo" required:"true"`
	Kubernetes Kubernetes `yaml:"kubernetes" doc:"Kubernetes version, networks and component settings."`
	Endpoint   Endpoint   `yaml:"endpoint" doc:"How nodes and people reach the API."`
	Network    Network    `yaml:"network" doc:"The network between the nodes."`
	OS         OS         `yaml:"os" doc:"The operating system the nodes boot."`
	Platform   Platform   `yaml:"platform" doc:"Where the nodes run." required:"true"`
	Roles      Roles      `yaml:"roles" doc:"How many nodes of each role, and what they look like." required:"true"`
	Etcd       Etcd       `yaml:"etcd" doc:"The etcd cluster on the masters."`
	Ingress    Ingress    `yaml:"ingress" doc:"What the proxies forward to the workers."`
	Addons     Addons     `yaml:"addons" doc:"What is applied to the cluster on first boot."`
	PKI        PKI        `yaml:"pki" doc:"Certificates and keys."`
	Delivery   string     `yaml:"delivery" doc:"How binaries and images reach a node: baked into its image, or fetched from artifacts.url." enum:"baked|fetch" default:"baked"`
	Artifacts  Artifacts  `yaml:"artifacts" doc:"Where nodes fetch what is not secret."`
	OIDC       *OIDC      `yaml:"oidc" doc:"An OpenID Connect issuer that the API server trusts for people."`
	NTP        []string   `yaml:"ntp" doc:"Time servers; the OS's own when left out." format:"host" eg:"[0.pool.ntp.org]"`
	DNS        []string   `yaml:"dns" doc:"Resolvers of the nodes; those of DHCP when left out." format:"ip" eg:"[9.9.9.9]"`
	Timezone   string     `yaml:"timezone" doc:"IANA time zone of the nodes and of the reboot windows." default:"UTC" eg:"Europe/Paris" format:"timezone"`
	Proxy      Proxy      `yaml:"proxy" doc:"HTTP proxy for containerd, the kubelet and fetches."`
	Registries []Registry `yaml:"registries" doc:"Mirrors, authorities and credentials of container registries."`
	Arch       string     `yaml:"arch" doc:"Processor architecture of every node." enum:"amd64|arm64" default:"amd64"`
	Extra      Extra      `yaml:"extra" doc:"Your own Butane, merged last; problems are reported at your own line."`
}

// Kubernetes holds version, networks and component settings.
type Kubernetes struct {
	Version       string    `yaml:"version" doc:"Kubernetes version, major.minor.patch, of a minor that this imgforge knows." default:"1.36.3" format:"version"`
	PodCIDR       string    `yaml:"podCIDR" doc:"Addresses of pods; every node gets a /24 of it." format:"cidr" default:"10.244.0.0/16"`
	ServiceCIDR   string    `yaml:"serviceCIDR" doc:"Addresses of Services; the tenth is cluster DNS." format:"cidr" default:"10.96.0.0/16"`
	ClusterDomain string    `yaml:"clusterDomain" doc:"DNS domain of Services." format:"domain" default:"cluster.local"`
	ProxyMode     string    `yaml:"proxyMode" doc:"How kube-proxy and flannel program the kernel. nftables needs Linux 5.13 or newer; ipvs is deprecated upstream." enum:"nftables|iptables|ipvs" default:"nftables"`
	MaxPods       int       `yaml:"maxPods" doc:"Most pods on one node." default:"110" min:"1" max:"250"`
	ExtraArgs     ExtraArgs `yaml:"extraArgs" doc:"Further flags of components, name without dashes to value; a flag that imgforge sets itself is an error."`
}

// ExtraArgs maps flag names, without dashes, to values.
type ExtraArgs struct {
	APIServer         map[string]string `yaml:"apiserver" doc:"Flags of kube-apiserver." eg:"{event-ttl: 2h}"`
	ControllerManager map[string]string `yaml:"controllerManager" doc:"Flags of kube-controller-manager." eg:"{node-monitor-grace-period: 20s}"`
	Scheduler         map[string]string `yaml:"scheduler" doc:"Flags of kube-scheduler." eg:"{v: \"4\"}"`
	Etcd              map[string]string `yaml:"etcd" doc:"Flags of etcd." eg:"{quota-backend-bytes: \"8589934592\"}"`
	Kubelet           map[string]string `yaml:"kubelet" doc:"Flags of the kubelet." eg:"{v: \"4\"}"`
}

// Endpoint is how the API is reached.
type Endpoint struct {
	Mode    string   `yaml:"mode" doc:"vip: keepalived floats endpoint.address over the masters with haproxy behind it; local: haproxy on every node at 127.0.0.1. Left out: local with WireGuard or a single master, else vip." enum:"vip|local" default:"vip"`
	Address string   `yaml:"address" doc:"The floating address of mode vip: inside network.cidr and taken by no node. Left out, the last usable address of the mesh network." format:"ipv4" eg:"192.168.66.253"`
	Port    int      `yaml:"port" doc:"Port of haproxy; the API server itself listens on 8443." default:"6443" min:"1" max:"65535"`
	SANs    []string `yaml:"sans" doc:"Further names and addresses in the API server's certificate." eg:"[k8s.example.org]" format:"san"`
	Access  []string `yaml:"access" doc:"Networks that may reach the API from outside, through the proxies or masters; nobody by default." format:"cidr" eg:"[203.0.113.0/24]"`
}

// Network is what carries traffic between nodes.
type Network struct {
	Mesh        string   `yaml:"mesh" doc:"tinc: switch mode, carries a VIP; wireguard: full mesh, needs endpoint.mode local; none: the nodes share a network already." enum:"tinc|wireguard|none" default:"tinc"`
	CIDR        string   `yaml:"cidr" doc:"Addresses of the nodes: those of the mesh, or of the shared network when mesh is none." format:"cidr" default:"192.168.66.0/24"`
	Port        int      `yaml:"port" doc:"Port of the mesh; 655 for tinc and 51820 for WireGuard when left out." min:"1" max:"65535"`
	Operators   []string `yaml:"operators" doc:"Mesh peers for people's laptops, by name; see imgforge mesh-config." format:"peer" eg:"[ana]"`
	Interface   string   `yaml:"interface" doc:"Interface of the nodes' own network; the one with the default route when left out. Needed when mesh is none and endpoint.mode is vip." eg:"eth0" format:"interface"`
	Gateway     string   `yaml:"gateway" doc:"Default gateway when mesh is none and nodes do not use DHCP." format:"ipv4" eg:"192.168.1.1"`
	TincVersion string   `yaml:"tincVersion" doc:"tinc on the nodes: 1.0 speaks RSA, 1.1 Ed25519." enum:"1.0|1.1" default:"\"1.0\""`
	UnderlayMTU int      `yaml:"underlayMTU" doc:"MTU of the network below the mesh; the platform's own when left out." eg:"1500" min:"1280" max:"9000"`
	VRRPID      int      `yaml:"vrrpID" doc:"VRRP virtual router id, unique per network; derived from the cluster name when left out." min:"1" max:"255"`
}

// OS is what the nodes boot.
type OS struct {
	Family  string `yaml:"family" doc:"flatcar, fcos and imgforge read Ignition; debian and ubuntu read cloud-init." enum:"flatcar|fcos|imgforge|debian|ubuntu" default:"flatcar"`
	Channel string `yaml:"channel" doc:"Release channel or version of the OS; stable for flatcar, fcos and imgforge, 12 for debian, 24.04 for ubuntu when left out." eg:"stable"`
}

// Platform is where the nodes run.
type Platform struct {
	Provider       string   `yaml:"provider" doc:"The cloud or machine kind: how user-data is delivered and how large it may be." enum:"scaleway|exoscale|hetzner|ec2|openstack|proxmox|libvirt|metal" required:"true"`
	Zone           string   `yaml:"zone" doc:"Zone of the provider; fr-par-1 on scaleway when left out." eg:"fr-par-1"`
	UserDataBudget int      `yaml:"userDataBudget" doc:"Most bytes of user-data as the provider counts them; overrides imgforge's table." eg:"131072" min:"4096" max:"1073741824"`
	PrivateDomain  string   `yaml:"privateDomain" doc:"Domain of the provider's private DNS, in which node names resolve; <cluster>.internal on scaleway when left out." format:"domain" eg:"nostromo.internal"`
	Scaleway       Scaleway `yaml:"scaleway" doc:"What imgforge up scaleway makes of servers there."`
}

// Scaleway is what a server there is made of, besides its role's type.
type Scaleway struct {
	Egress         string `yaml:"egress" doc:"How nodes reach the internet. publicIP: each has a public address, behind a security group that lets nothing in; gateway: by the default route that a Public Gateway of yours announces in the private network; none: not at all." enum:"publicIP|gateway|none" default:"publicIP"`
	Image          string `yaml:"image" doc:"Image of new servers: an ID in the zone, or a label of the marketplace." eg:"debian_bookworm"`
	RootSize       int    `yaml:"rootSize" doc:"Size of each server's root volume, in GB." default:"20" min:"10" max:"10000"`
	PublicIPKeyRef string `yaml:"publicIPKeyRef" doc:"Name of the secret with the secret key of an API key that may change the project's Instances; proxies, and nobody else, carry it and attach roles.proxy.publicIP to whichever of them VRRP makes master. Left out, the address does not follow." format:"secret" eg:"public-ip-key"`
	KeepUserData   bool   `yaml:"keepUserData" doc:"Leave user-data at the provider once a node is Ready. Otherwise imgforge-node deletes it then, since it holds the node's keys."`
	DataSize       int    `yaml:"dataSize" doc:"Size of each data volume (dataDisk of the role or node, and etcd.dataDisk), in GB." default:"50" min:"5" max:"10000"`
}

// Roles are the three kinds of node.
type Roles struct {
	Master Role `yaml:"master" doc:"etcd and the control plane: 1, 3, 5 or 7 nodes." required:"true"`
	Proxy  Role `yaml:"proxy" doc:"The public edge: ports 80 and 443, and the API where endpoint.access allows."`
	Worker Role `yaml:"worker" doc:"Workloads. Without workers and proxies, a master runs workloads itself."`
}

// Role is the nodes of one kind.
type Role struct {
	Count    int               `yaml:"count" doc:"How many nodes exist; none when left out, but there must be masters." eg:"3" min:"0" max:"5000"`
	Reserve  *int              `yaml:"reserve" doc:"Slots prepared for later: adding one of them changes no other node. When left out: 2 masters (0 for a single one, 7 slots at most), 0 proxies, 8 workers (0 without workers)." min:"0" max:"5000"`
	Reboot   *Window           `yaml:"reboot" doc:"When nodes may reboot for updates, divided among them; left out, they do not reboot by themselves."`
	PublicIP string            `yaml:"publicIP" doc:"Flexible public address of the role; proxies hold it through keepalived." format:"ip" eg:"51.15.132.63"`
	DataDisk string            `yaml:"dataDisk" doc:"Block device for data, formatted as ext4 when empty and mounted at /var/lib/data." format:"device" eg:"/dev/sdb"`
	RootDisk string            `yaml:"rootDisk" doc:"Disk the OS is installed on, for metal." format:"device" eg:"/dev/nvme0n1"`
	Type     string            `yaml:"type" doc:"Machine type at the provider." eg:"PRO2-XXS"`
	Image    string            `yaml:"image" doc:"Sealed disk image of the role that imgforge build made, by its ID at Scaleway; imgforge up gives each server its claim line as user-data, and the payload is in the image. Left out, servers boot platform.scaleway.image with their payload as user-data." eg:"\"11111111-2222-4333-8444-555555555555\""`
	Labels   map[string]string `yaml:"labels" doc:"Kubernetes labels of the role's nodes." eg:"{tier: edge}"`
	Taints   []Taint           `yaml:"taints" doc:"Kubernetes taints of the role's nodes; masters have node-role.kubernetes.io/control-plane:NoSchedule unless they are alone, proxies node-role.imgforge.io/proxy:NoSchedule, when left out."`
	Nodes    []Node            `yaml:"nodes" doc:"Single nodes by slot order, where something about them cannot be derived."`
}

// Window is when reboots may happen.
type Window struct {
	Start  string   `yaml:"start" doc:"Time of day at which the window opens, HH:MM in the cluster's time zone." format:"clock" eg:"\"04:00\"" required:"true"`
	Length string   `yaml:"length" doc:"Length of the window, more than 0 and less than 24h." format:"duration" eg:"1h" required:"true"`
	Days   []string `yaml:"days" doc:"Days on which it opens; every day when left out." enum:"Mon|Tue|Wed|Thu|Fri|Sat|Sun"`
}

// Taint keeps pods away that do not tolerate it.
type Taint struct {
	Key    string `yaml:"key" doc:"Taint key." eg:"dedicated" required:"true"`
	Value  string `yaml:"value" doc:"Taint value." eg:"gpu"`
	Effect string `yaml:"effect" doc:"What happens to pods." enum:"NoSchedule|PreferNoSchedule|NoExecute" default:"NoSchedule"`
}

// Node is one machine of a role.
type Node struct {
	Name      string            `yaml:"name" doc:"Node and host name; <role>-<slot> when left out." format:"name" eg:"master-1"`
	Endpoint  string            `yaml:"endpoint" doc:"Name or address at which other nodes reach this one for the mesh, with an optional port; makes it a hub." format:"hostport" eg:"203.0.113.10"`
	Address   string            `yaml:"address" doc:"Address inside network.cidr; derived from role and slot when left out." format:"ipv4" eg:"192.168.66.11"`
	PublicIP  string            `yaml:"publicIP" doc:"Public address of this node, for certificates and firewalls." format:"ip" eg:"203.0.113.10"`
	Type      string            `yaml:"type" doc:"Machine type at the provider, over the role's." eg:"PRO2-XXS"`
	MAC       string            `yaml:"mac" doc:"Hardware address that claims this slot, for metal." eg:"52:54:00:12:34:56" format:"mac"`
	RootDisk  string            `yaml:"rootDisk" doc:"Disk the OS is installed on, over the role's." format:"device" eg:"/dev/sda"`
	DataDisk  string            `yaml:"dataDisk" doc:"Block device for data, over the role's." format:"device" eg:"/dev/sdb"`
	Labels    map[string]string `yaml:"labels" doc:"Kubernetes labels of this node, over the role's." eg:"{disk: ssd}"`
	Interface string            `yaml:"interface" doc:"Interface of this node's own network, over network.interface." eg:"enp1s0" format:"interface"`
}

// Etcd is the store on the masters.
type Etcd struct {
	Founded     bool     `yaml:"founded" doc:"Set it to true after the first Ready: payloads made from then on can never found a second cluster." default:"false"`
	RestoreFrom string   `yaml:"restoreFrom" doc:"Snapshot that the masters restore when none of them has data any more: a path on a master or an s3 or https URL; latest.db.age is the newest beside it. Remove it again once the cluster is back." eg:"/var/lib/imgforge/snapshots/latest.db.age"`
	Abandon     string   `yaml:"abandon" doc:"With restoreFrom: id of the etcd cluster whose last data stands in the way of the restore, as boot code 520 names it. Masters move that data aside on their disks, never delete it, and only when no majority of its members is left." eg:"8c3f5a1be0d24c67"`
	DataDisk    string   `yaml:"dataDisk" doc:"Block device for etcd's data alone, formatted as ext4 when empty." format:"device" eg:"/dev/sdb"`
	Snapshot    Snapshot `yaml:"snapshot" doc:"Snapshots of etcd, sealed with age to the store's authority recipients and to a key of the masters, on the disk of every master."`
}

// Snapshot is when snapshots are taken, how many stay, and where else they go.
type Snapshot struct {
	Enabled *bool        `yaml:"enabled" doc:"Take snapshots." default:"true"`
	Every   string       `yaml:"every" doc:"Time between two snapshots, at least 5m and less than 24h." format:"duration" default:"1h"`
	Keep    SnapshotKeep `yaml:"keep" doc:"Which snapshots stay, on every master's disk and in the bucket; the newest one always does."`
	S3      *S3          `yaml:"s3" doc:"A bucket that takes every snapshot as well."`
}

// SnapshotKeep is a rule: what any part of it keeps stays.
type SnapshotKeep struct {
	Last   int `yaml:"last" doc:"The newest so many." default:"24" min:"1" max:"10000"`
	Daily  int `yaml:"daily" doc:"The newest of each of so many days, in UTC." default:"7" min:"0" max:"10000"`
	Weekly int `yaml:"weekly" doc:"The newest of each of so many weeks, from Monday to Sunday in UTC." eg:"8" min:"0" max:"10000"`
}

// S3 is a bucket of any server that speaks Amazon's protocol.
type S3 struct {
	Endpoint     string `yaml:"endpoint" doc:"URL of the server, https, without the bucket." format:"https" eg:"https://s3.fr-par.scw.cloud" required:"true"`
	Region       string `yaml:"region" doc:"Region, where the server asks for one." default:"us-east-1" eg:"fr-par"`
	Bucket       string `yaml:"bucket" doc:"Bucket, which must exist." eg:"nostromo-etcd" required:"true"`
	Prefix       string `yaml:"prefix" doc:"Folder in the bucket, the cluster's alone; its name when left out." eg:"backups/nostromo"`
	AccessKeyRef string `yaml:"accessKeyRef" doc:"Name of the secret with the access key; see imgforge secret set." format:"secret" eg:"s3-access-key" required:"true"`
	SecretKeyRef string `yaml:"secretKeyRef" doc:"Name of the secret with the secret key." format:"secret" eg:"s3-secret-key" required:"true"`
	CA           string `yaml:"ca" doc:"PEM of the server's authority, when it is not a public one." format:"pem"`
}

// Ingress is what the proxies forward.
type Ingress struct {
	Ports IngressPorts `yaml:"ports" doc:"NodePorts of the ingress controller."`
}

// IngressPorts are NodePorts on the workers.
type IngressPorts struct {
	HTTP  int `yaml:"http" doc:"NodePort behind port 80 of the proxies." default:"30080" min:"1" max:"65535"`
	HTTPS int `yaml:"https" doc:"NodePort behind port 443 of the proxies." default:"30443" min:"1" max:"65535"`
}

// Addons are the base add-ons; each can be switched off and brought by you.
type Addons struct {
	CNI           string `yaml:"cni" doc:"The pod network. With none, nodes wait until you apply one of your own: its plugins belong into /opt/cni/bin, its list into /etc/cni/net.d, and pods get addresses of podCIDR." enum:"flannel|none" default:"flannel"`
	KubeProxy     *bool  `yaml:"kubeProxy" doc:"Apply kube-proxy. Without it something of your own has to make Services work, as some pod networks do." default:"true"`
	CoreDNS       *bool  `yaml:"coreDNS" doc:"Apply CoreDNS. Without it a DNS of your own needs the tenth address of serviceCIDR, which pods ask." default:"true"`
	MetricsServer *bool  `yaml:"metricsServer" doc:"Apply metrics-server, which kubectl top and autoscaling by CPU and memory ask." default:"true"`
}

// PKI chooses algorithms and lifetimes.
type PKI struct {
	Algorithm     string `yaml:"algorithm" doc:"Key algorithm of authorities and leaves." enum:"ecdsa-256|rsa-2048|rsa-3072|rsa-4096" default:"ecdsa-256"`
	LeafDays      int    `yaml:"leafDays" doc:"Lifetime of leaves in days." default:"365" min:"1" max:"3650"`
	AuthorityDays int    `yaml:"authorityDays" doc:"Lifetime of authorities in days." default:"3650" min:"1" max:"36500"`
}

// Artifacts is where nodes fetch what is not secret.
type Artifacts struct {
	URL string `yaml:"url" doc:"Base URL that serves out/public; files that are not secret are then fetched by hash instead of carried." format:"url" eg:"https://artifacts.example.org/nostromo"`
}

// OIDC is an issuer of people's tokens.
type OIDC struct {
	Issuer         string `yaml:"issuer" doc:"Issuer URL, https." format:"https" eg:"https://login.example.org" required:"true"`
	ClientID       string `yaml:"clientID" doc:"Audience of the tokens." eg:"kubernetes" required:"true"`
	UsernameClaim  string `yaml:"usernameClaim" doc:"Claim that names the user." default:"email"`
	UsernamePrefix string `yaml:"usernamePrefix" doc:"Put before every user name." default:"\"oidc:\""`
	GroupsClaim    string `yaml:"groupsClaim" doc:"Claim that lists groups." default:"groups"`
	GroupsPrefix   string `yaml:"groupsPrefix" doc:"Put before every group." default:"\"oidc:\""`
	CA             string `yaml:"ca" doc:"PEM of the issuer's authority, when it is not a public one." format:"pem"`
}

// Proxy is an HTTP proxy.
type Proxy struct {
	HTTP    string   `yaml:"http" doc:"Proxy for http." format:"url" eg:"http://proxy.example.org:3128"`
	HTTPS   string   `yaml:"https" doc:"Proxy for https." format:"url" eg:"http://proxy.example.org:3128"`
	NoProxy []string `yaml:"noProxy" doc:"Hosts and networks reached directly, besides the cluster's own." eg:"[.example.org]" format:"noproxy"`
}

// Registry is one container registry.
type Registry struct {
	Host        string   `yaml:"host" doc:"Registry as it stands in image names." format:"registry" eg:"registry.example.org" required:"true"`
	Mirrors     []string `yaml:"mirrors" doc:"URLs tried first, in order." format:"url" eg:"[https://mirror.example.org]"`
	CA          string   `yaml:"ca" doc:"PEM of the registry's authority." format:"pem"`
	Username    string   `yaml:"username" doc:"User of the registry." eg:"robot"`
	PasswordRef string   `yaml:"passwordRef" doc:"Name of the secret with the password; see imgforge secret set." format:"secret" eg:"registry-password"`
}

// Extra is the user's own Butane by role.
type Extra struct {
	All    string `yaml:"all" doc:"Butane for every node." format:"butane"`
	Master string `yaml:"master" doc:"Butane for masters." format:"butane"`
	Proxy  string `yaml:"proxy" doc:"Butane for proxies." format:"butane"`
	Worker string `yaml:"worker" doc:"Butane for workers." format:"butane"`
}
