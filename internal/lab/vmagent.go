package lab

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"
)

// agentPause is how long the lab waits before it asks again whether a command
// has ended: emulated machines have better things to do than to answer.
const agentPause = 500 * time.Millisecond

// agent speaks with qemu's guest agent, over a port that no network leads to.
type agent struct {
	conn net.Conn
	in   *bufio.Reader
}

// agentOf connects and drops what earlier connections left unread.
func (v *VM) agentOf(ctx context.Context) (*agent, error) {
	if v.cmd == nil {
		return nil, errors.New("it is off")
	}
	var d net.Dialer
	conn, err := d.DialContext(ctx, "unix", v.socket)
	if err != nil {
		return nil, err
	}
	deadline, ok := ctx.Deadline()
	if !ok {
		deadline = time.Now().Add(time.Minute)
	}
	if err := conn.SetDeadline(deadline); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	a := &agent{conn: conn, in: bufio.NewReader(conn)}
	// The answer to this begins with a byte that no other answer holds.
	if err := a.send("guest-sync-delimited", map[string]any{"id": 1}); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	if _, err := a.in.ReadString(0xff); err != nil {
		return nil, errors.Join(fmt.Errorf("its agent does not answer: %w", err), conn.Close())
	}
	if err := a.receive(new(int)); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return a, nil
}

func (a *agent) send(command string, arguments any) error {
	request, err := json.Marshal(map[string]any{"execute": command, "arguments": arguments})
	if err != nil {
		return err
	}
	prefix := ""
	if command == "guest-sync-delimited" {
		prefix = "\xff" // ends what half a request may have left in the agent
	}
	_, err = a.conn.Write([]byte(prefix + string(request) + "\n"))
	return err
}

func (a *agent) receive(answer any) error {
	line, err := a.in.ReadBytes('\n')
	if err != nil {
		return err
	}
	reply := struct {
		Return any
		Error  *struct{ Desc string }
	}{Return: answer}
	if err := json.Unmarshal(line, &reply); err != nil {
		return fmt.Errorf("its agent answers %q: %w", line, err)
	}
	if reply.Error != nil {
		return errors.New(reply.Error.Desc)
	}
	return nil
}

func (a *agent) ask(command string, arguments, answer any) error {
	if err := a.send(command, arguments); err != nil {
		return err
	}
	return a.receive(answer)
}

// Run is what a program prints inside the machine.
func (v *VM) Run(ctx context.Context, args ...string) (string, error) {
	out, err := v.exec(ctx, args)
	if err != nil {
		return out, fmt.Errorf("machine %s: %s: %w", v.Name, strings.Join(args, " "), err)
	}
	return out, nil
}

func (v *VM) exec(ctx context.Context, args []string) (string, error) {
	a, err := v.agentOf(ctx)
	if err != nil {
		return "", err
	}
	defer a.conn.Close()
	var started struct{ PID int }
	err = a.ask("guest-exec", map[string]any{"path": args[0], "arg": args[1:], "capture-output": true,
		"env": []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "LC_ALL=C.UTF-8"}}, &started)
	if err != nil {
		return "", err
	}
	for {
		var status struct {
			Exited           bool
			ExitCode, Signal int
			Out              []byte `json:"out-data"`
			Err              []byte `json:"err-data"`
		}
		if err := a.ask("guest-exec-status", map[string]any{"pid": started.PID}, &status); err != nil {
			return "", err
		}
		if status.Exited {
			if status.ExitCode != 0 || status.Signal != 0 {
				return string(status.Out), fmt.Errorf("exit code %d, signal %d: %s%s", status.ExitCode, status.Signal, status.Err, status.Out)
			}
			return string(status.Out), nil
		}
		select {
		case <-ctx.Done():
			return "", ctx.Err()
		case <-time.After(agentPause):
		}
	}
}
