package node

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"time"

	"github.com/imgforge/imgforge/internal/bootcode"
	"github.com/imgforge/imgforge/internal/node/step"
	"github.com/imgforge/imgforge/internal/node/userdata"
)

const (
	// defaultPause is long enough to read the console, and short enough not to be
	// waited for once the cause is gone.
	defaultPause = 10 * time.Second
	// claimPause is shorter: everything waits for the claim, and a reason that has
	// been said is not said again.
	claimPause = 2 * time.Second
)

// claimOf claims, once or until it succeeds. A failed unit would take what waits
// for it along, and a name that comes late would need a power cycle. The same
// reason is said once, however often it is met.
func claimOf(ctx context.Context, o options, stderr io.Writer) error {
	c := newClaim(o, stderr)
	for {
		err := c.Run(ctx)
		if err == nil {
			bringExtension(ctx, o, stderr)
			return nil
		}
		if ctx.Err() != nil {
			return err
		}
		c.Report.Failed(asFailure(err))
		if !o.keepTrying || !sleep(ctx, min(o.pause, claimPause)) {
			return err
		}
		c.Wait = 0 // what it waits for has been said
	}
}

// wipeOf removes what cloud-init keeps once that has ended.
func wipeOf(ctx context.Context, o options, stderr io.Writer) error {
	err := wipeWhenDone(ctx, host{root: o.root}, 10*time.Minute)
	if err != nil {
		reporter(o, stderr).Failed(asFailure(err))
	}
	return err
}

// asFailure is an error's boot code; every error of a claim has one.
func asFailure(err error) *bootcode.Failure {
	if f, ok := errors.AsType[*bootcode.Failure](err); ok {
		return f
	}
	return bootcode.Fail(bootcode.CannotWrite, "%v", err)
}

// newClaim wires a claim to the running system, or, with another root, to nothing.
func newClaim(o options, stderr io.Writer) Claim {
	c := Claim{Root: o.root, Report: reporter(o, stderr), Wait: o.wait,
		SetHostname: func(string) error { return nil },
		Later:       func(...string) error { return nil }}
	if o.root == "/" {
		c.SetHostname = setHostname
		c.Later = afterCloudInit
		c.Metadata = metadataOf
		c.UserData = userdata.Of
	}
	return c
}

// reporter is where steps that run before anybody can log in leave word.
func reporter(o options, stderr io.Writer) *step.Log {
	return &step.Log{Root: o.root, Stderr: console{host{root: o.root}, stderr}, Now: time.Now}
}

// console shows text to whoever watches the machine boot. Under systemd the unit
// decides where standard error goes, console included; anything else, such as a
// script of cloud-init, hides it in a log.
type console struct {
	host   host
	stderr io.Writer
}

// Write is that of io.Writer.
func (c console) Write(text []byte) (int, error) {
	n, err := c.stderr.Write(text)
	if os.Getenv("JOURNAL_STREAM") != "" {
		return n, err
	}
	f, fault := os.OpenFile(c.host.path("/dev/console"), os.O_WRONLY, 0)
	if fault != nil {
		return n, err // not every machine has one, and not everybody may write to it
	}
	defer f.Close()
	f.Write(text) // who does not read there reads the log
	return n, err
}

// afterCloudInit has systemd run the helper behind cloud-init's last stage. The
// claim cannot wait for it: that stage starts the claim on the first boot.
func afterCloudInit(args ...string) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	cmd := exec.Command("systemd-run", append([]string{"--quiet", "--no-block", "--collect", "--unit=imgforge-wipe",
		"--property=After=cloud-final.service", "--property=StandardOutput=journal+console", "--property=StandardError=journal+console", self}, args...)...)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("systemd-run: %w: %s", err, out)
	}
	return nil
}
