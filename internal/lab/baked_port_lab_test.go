//go:build lab

package lab

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"
)

// port is a way into a machine that boots a baked disk: a shell, on a port that qemu
// alone leads to. What it runs it runs one after the other.
type port struct {
	v    *VM
	conn net.Conn
	in   *bufio.Reader
}

// portMark ends what a command prints.
const portMark = "imgforge-lab-said-all"

// open connects, which a machine must see before it answers.
func (v *VM) open(ctx context.Context) (*port, error) {
	var d net.Dialer
	var conn net.Conn
	err := Await(ctx, "the port of "+v.Name, func(ctx context.Context) (err error) {
		conn, err = d.DialContext(ctx, "unix", v.socket)
		return err
	})
	return &port{v, conn, bufio.NewReader(conn)}, err
}

// run is what a command prints. A shell that died, or that has not begun, is waited for.
func (p *port) run(ctx context.Context, command string) (string, error) {
	deadline, ok := ctx.Deadline()
	if !ok {
		deadline = time.Now().Add(time.Minute)
	}
	if err := p.conn.SetDeadline(deadline); err != nil {
		return "", err
	}
	mark := fmt.Sprintf("%s-%d", portMark, time.Now().UnixNano())
	if _, err := fmt.Fprintf(p.conn, "{ %s\n} </dev/null 2>&1; status=$?; echo; echo %s $status\n", command, mark); err != nil {
		return "", err
	}
	var out strings.Builder
	for {
		line, err := p.in.ReadString('\n')
		if err != nil {
			return out.String(), fmt.Errorf("machine %s: %s: %w", p.v.Name, command, err)
		}
		status, ended := strings.CutPrefix(line, mark+" ")
		if !ended {
			out.WriteString(line)
			if strings.HasPrefix(line, portMark) {
				out.Reset() // nobody waits any more for what it ends
			}
			continue
		}
		said := strings.TrimSuffix(out.String(), "\n")
		if strings.TrimSpace(status) != "0" {
			return said, fmt.Errorf("machine %s: %s: exit code %s: %s", p.v.Name, command, strings.TrimSpace(status), said)
		}
		return said, nil
	}
}

// holds is a check that a command succeeds.
func (p *port) holds(command string) func(context.Context) error {
	return slowly(func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, time.Minute)
		defer cancel()
		_, err := p.run(ctx, command)
		return err
	})
}

func (p *port) close() error {
	if p == nil || p.conn == nil {
		return errors.New("the port was never open")
	}
	return p.conn.Close()
}
