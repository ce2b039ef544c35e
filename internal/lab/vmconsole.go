package lab

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"time"
)

// powerOnLine begins what a console prints in one boot.
const powerOnLine = "=== power on "

// console writes what a machine prints to a file, each line with the seconds since power-on.
type console struct {
	file  *os.File
	begun time.Time
	line  []byte
}

// openConsole goes on with the console of earlier boots.
func openConsole(path string, boot int) (*console, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	c := &console{file: f, begun: time.Now()}
	_, err = fmt.Fprintf(f, "%s%d\n", powerOnLine, boot)
	return c, err
}

func (c *console) Write(data []byte) (int, error) {
	c.line = append(c.line, data...)
	for {
		line, rest, whole := bytes.Cut(c.line, []byte("\n"))
		if !whole {
			return len(data), nil
		}
		c.line = rest
		if _, err := fmt.Fprintf(c.file, "%7.1f %s\n", time.Since(c.begun).Seconds(), bytes.TrimRight(line, "\r")); err != nil {
			return 0, err
		}
	}
}

// Close writes what the machine printed last, though no line ended.
func (c *console) Close() error {
	var err error
	if len(c.line) > 0 {
		_, err = c.Write([]byte("\n"))
	}
	return errors.Join(err, c.file.Close())
}
