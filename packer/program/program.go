// Package program runs imgforge as a user does, by its command line.
package program

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"os/exec"
	"strings"
	"time"
)

// patience is how long imgforge may clean up after an interruption before it is killed.
const patience = 30 * time.Second

// Imgforge is the program with the cluster file that it reads.
type Imgforge struct {
	// Path is the program; "" looks for imgforge on PATH.
	Path string
	// File is the cluster file; "" is cluster.yaml in Packer's folder.
	File string
	// Store is its store; "" is the folder store beside the file.
	Store string
}

// Run runs a command on the cluster file and returns what it printed, which may be
// secret: it is kept in memory alone. Each line of its messages, which hold no secret,
// goes to say as it comes. The error holds them too.
func (i Imgforge) Run(ctx context.Context, say func(string), args ...string) ([]byte, error) {
	args = append(args, "-f", cmp.Or(i.File, "cluster.yaml"))
	if i.Store != "" {
		args = append(args, "--store", i.Store)
	}
	cmd := exec.CommandContext(ctx, cmp.Or(i.Path, "imgforge"), args...)
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = patience
	var out bytes.Buffer
	messages := &lines{say: say}
	cmd.Stdout, cmd.Stderr = &out, messages
	err := cmd.Run()
	messages.end()
	if errors.Is(err, exec.ErrNotFound) {
		return nil, fmt.Errorf("%w: install imgforge, or name the program with imgforge_path", err)
	}
	if err != nil {
		return nil, fmt.Errorf("imgforge %s: %w\n%s", args[0], err, strings.Join(messages.last, "\n"))
	}
	return out.Bytes(), nil
}

// Log is where messages go where Packer shows none: into its log, seen with PACKER_LOG=1.
func Log(line string) { log.Print(line) }

// most is how many lines of messages an error repeats.
const most = 40

// lines passes on whole lines and keeps the last.
type lines struct {
	say  func(string)
	part []byte
	last []string
}

var _ io.Writer = (*lines)(nil)

func (l *lines) Write(p []byte) (int, error) {
	l.part = append(l.part, p...)
	for {
		line, rest, whole := bytes.Cut(l.part, []byte("\n"))
		if !whole {
			return len(p), nil
		}
		l.line(string(line))
		l.part = rest
	}
}

func (l *lines) line(text string) {
	l.say(text)
	l.last = append(l.last, text)
	if len(l.last) > most {
		l.last = l.last[1:]
	}
}

func (l *lines) end() {
	if len(l.part) > 0 {
		l.line(string(l.part))
		l.part = nil
	}
}
