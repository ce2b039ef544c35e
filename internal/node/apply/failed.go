package apply

import (
	"errors"
	"io/fs"
	"strings"
	"time"

	"github.com/imgforge/imgforge/internal/bootcode"
	"github.com/imgforge/imgforge/internal/node/api"
)

// patience is how many looks in a row may fail before that is told.
const patience = 2

// errRefused stands for objects that the API server does not take; refused tells of them.
var errRefused = errors.New("the API server does not take all objects")

// errUnable is that of work which ended on this node, before anybody was asked.
var errUnable = errors.New("this node cannot")

// failed tells of an error and makes the pauses longer. The first ones are not told:
// an API server that begins or ends says no for a moment.
func (a *applier) failed(err error) time.Duration {
	a.tries++
	switch left := besides(err); {
	case api.Unwelcome(err) || api.Strange(err):
		a.say(bootcode.Fail(bootcode.AddonsDenied, "%v", err))
	case left == nil: // told already
	case api.Silent(left):
		a.waiting("the API server of this node to answer")
		return 4 * a.o.Pace
	case a.tries <= patience:
	case unable(left):
		a.say(bootcode.Fail(bootcode.AddonsUnable, "%s", strings.ReplaceAll(left.Error(), errUnable.Error()+": ", "")))
	default:
		a.say(bootcode.Fail(bootcode.AddonsFailed, "%v", left))
	}
	return min(a.o.Pace<<min(a.tries, 8), 3*a.o.Rest)
}

// unable tells whether the fault is this node's: a file that it lacks, or what is in it.
func unable(err error) bool {
	_, file := errors.AsType[*fs.PathError](err)
	return file || errors.Is(err, errUnable)
}

// besides is what is left of an error without what refused told.
func besides(err error) error {
	if err == errRefused {
		return nil
	}
	all, joined := err.(interface{ Unwrap() []error })
	if !joined || errors.Is(err, errUnable) && !errors.Is(err, errRefused) {
		return err
	}
	var left []error
	for _, e := range all.Unwrap() {
		left = append(left, besides(e))
	}
	return errors.Join(left...)
}

// refused tells which objects the API server does not take.
func (a *applier) refused(code int, lines []string) error {
	if len(lines) == 0 {
		return nil
	}
	if a.tries >= patience {
		a.say(bootcode.Fail(code, "%s", strings.Join(shorten(lines), "\n")))
	}
	return errRefused
}
