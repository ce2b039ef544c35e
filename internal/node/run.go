package node

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"runtime/debug"
	"time"

	"github.com/imgforge/imgforge/internal/artifact"
	"github.com/imgforge/imgforge/internal/bootcode"
)

// Exit codes, the same as those of imgforge.
const (
	exitDone   = 0
	exitFailed = 1
	exitUsage  = 2
)

const usage = `imgforge-node is the helper on every node of a cluster made with imgforge.

  imgforge-node claim                     make this machine the node that its name, or its claim line, says
  imgforge-node time                      wait for a clock that certificates can be used with
  imgforge-node images                    import and pin the container images that the node's image brought, if they are not there
  imgforge-node etcd guard                take etcd's manifest away unless its data is there, before the kubelet starts
  imgforge-node run                       all that a node of its role does for as long as it runs: watch, clock,
                                          status, room (which keeps some on the kubelet's disk for when that is full) and reboot, and on
                                          masters etcd, snapshots, apply and approve, and on proxies that move a public address publicip;
                                          each is also a command of its own
  imgforge-node snapshot                  take a snapshot of etcd now, sealed, to this master's disk and the bucket if there is one
  imgforge-node reboot --request [--now]  ask for a reboot of this node when its window is open, or at once; it is drained first
  imgforge-node wipe                      remove cached copies of the payload once cloud-init has ended
  imgforge-node check endpoint|proxy      what keepalived asks: may this node hold the floating address?
  imgforge-node notify TYPE NAME STATE [PRIORITY]
                                          what keepalived tells: record it for the status
  imgforge-node codes                     list every boot code and what to change
  imgforge-node version

Flags: --root DIR     a folder instead of /
       --config FILE  node.json
       --wait 60s     how long claim waits for a name before it fails
       --keep-trying  claim, import images, or guard etcd, again until it succeeds, as the units do
`

// options are the flags of every command.
type options struct {
	root, config string
	wait         time.Duration
	keepTrying   bool
	request, now bool          // a reboot
	pause        time.Duration // between two tries
}

// Run is the whole program: arguments in, exit code out.
func Run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	words, o, err := parse(args)
	if err != nil || len(words) == 0 {
		if errors.Is(err, flag.ErrHelp) {
			fmt.Fprint(stdout, usage)
			return exitDone
		}
		if err != nil {
			fmt.Fprintf(stderr, "imgforge-node: %v\n", err)
		}
		fmt.Fprint(stderr, usage)
		return exitUsage
	}
	err, known := dispatch(ctx, words, o, stdout, stderr)
	if !known {
		fmt.Fprintf(stderr, "imgforge-node: unknown command %q\n%s", words, usage)
		return exitUsage
	}
	switch {
	case err == nil:
		return exitDone
	case words[0] != "claim" && words[0] != "wipe": // which have said it already
		fmt.Fprintln(stderr, err)
	}
	return exitFailed
}

// parse takes flags before and after the command's words: keepalived appends
// words of its own to the command it is given.
func parse(args []string) (words []string, o options, err error) {
	o.pause = defaultPause
	set := flag.NewFlagSet("imgforge-node", flag.ContinueOnError)
	set.SetOutput(io.Discard)
	set.StringVar(&o.root, "root", "/", "")
	set.StringVar(&o.config, "config", "", "")
	set.DurationVar(&o.wait, "wait", time.Minute, "")
	set.BoolVar(&o.keepTrying, "keep-trying", false, "")
	set.BoolVar(&o.request, "request", false, "")
	set.BoolVar(&o.now, "now", false, "")
	for {
		if err := set.Parse(args); err != nil {
			return nil, o, err
		}
		args = set.Args()
		if len(args) == 0 {
			break
		}
		words, args = append(words, args[0]), args[1:]
	}
	if o.config == "" {
		o.config = host{root: o.root}.path(artifact.NodeFilePath)
	}
	return words, o, nil
}

func dispatch(ctx context.Context, words []string, o options, stdout, stderr io.Writer) (err error, known bool) {
	check := Check{Root: o.root, Config: o.config, AlivePort: artifact.HAProxyAlivePort}
	rest := len(words) - 1
	switch {
	case words[0] == "claim" && rest == 0:
		return claimOf(ctx, o, stderr), true
	case words[0] == "wipe" && rest == 0:
		return wipeOf(ctx, o, stderr), true
	case words[0] == "check" && rest == 1 && words[1] == "endpoint":
		return check.Endpoint(ctx), true
	case words[0] == "check" && rest == 1 && words[1] == "proxy":
		return check.Proxy(ctx), true
	case words[0] == "notify":
		return Notify(o.root, words[1:]), true
	case words[0] == "codes" && rest == 0:
		return printCodes(stdout), true
	case words[0] == "version" && rest == 0:
		_, err := fmt.Fprintln(stdout, "imgforge-node", version())
		return err, true
	}
	return newService(o, stderr).do(ctx, words)
}

func printCodes(w io.Writer) error {
	for _, c := range bootcode.All() {
		if _, err := fmt.Fprintf(w, "%d %s (%s): %s\n    change: %s\n", c.Number, c.Name, c.Step, c.What, c.Change); err != nil {
			return err
		}
	}
	return nil
}

func version() string {
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "(devel)"
}
