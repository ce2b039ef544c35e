package lab

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Load is what a machine's processors did while nodes booted. Two boots can be
// compared when whatever else ran took as little of one as of the other.
type Load struct {
	// Nodes, Lab and Others are seconds of one processor: of the nodes, of the lab that
	// watches them, and of everything else on the machine.
	Nodes  float64 `json:"nodes"`
	Lab    float64 `json:"lab"`
	Others float64 `json:"others"`
	// Of is how many there were: those of all processors.
	Of float64 `json:"of"`
}

// loadMeter measures from when it was made.
type loadMeter struct {
	begun     time.Time
	busy, lab float64
}

func newLoadMeter() (m loadMeter, err error) {
	m.begun = time.Now()
	if m.busy, _, err = busySeconds(); err == nil {
		m.lab, err = labSeconds()
	}
	return m, err
}

// read is what was done since then, of which all that nodes ever did is their part:
// they got their power after it.
func (m loadMeter) read(nodes []*Node) (l Load, err error) {
	busy, processors, err := busySeconds()
	if err != nil {
		return l, err
	}
	lab, err := labSeconds()
	if err != nil {
		return l, err
	}
	for _, n := range nodes {
		seconds, err := n.processorSeconds()
		if err != nil {
			return l, err
		}
		l.Nodes += seconds
	}
	l.Lab, l.Of = lab-m.lab, time.Since(m.begun).Seconds()*float64(processors)
	l.Others = max(0, busy-m.busy-l.Nodes-l.Lab) // both clocks are coarse
	return l, nil
}

// userHertz is the unit of /proc/stat, which is the same on every Linux that Debian has.
const userHertz = 100

// busySeconds is how long this machine's processors have worked, and how many they are.
func busySeconds() (seconds float64, processors int, err error) {
	data, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0, 0, err
	}
	for line := range strings.Lines(string(data)) {
		fields := strings.Fields(line)
		if len(fields) < 8 || !strings.HasPrefix(fields[0], "cpu") {
			continue
		}
		if fields[0] != "cpu" {
			processors++
			continue
		}
		for i, field := range fields[1:8] { // user nice system idle iowait irq softirq
			ticks, err := strconv.ParseFloat(field, 64)
			if err != nil {
				return 0, 0, fmt.Errorf("/proc/stat: %w", err)
			}
			if i != 3 && i != 4 {
				seconds += ticks / userHertz
			}
		}
	}
	return seconds, processors, nil
}

// labSeconds is how long this process and those that it waited for have worked.
func labSeconds() (seconds float64, err error) {
	for _, who := range [...]int{syscall.RUSAGE_SELF, syscall.RUSAGE_CHILDREN} {
		var usage syscall.Rusage
		if err := syscall.Getrusage(who, &usage); err != nil {
			return 0, err
		}
		seconds += float64(usage.Utime.Nano()+usage.Stime.Nano()) / 1e9
	}
	return seconds, nil
}

// processorSeconds is how long the processes of a node that runs have worked, from its power-on.
func (n *Node) processorSeconds() (float64, error) {
	for _, dir := range n.cgroups {
		data, err := os.ReadFile(filepath.Join(dir, "cpu.stat"))
		if err != nil {
			continue // a hierarchy that counts something else
		}
		for line := range strings.Lines(string(data)) {
			if value, ok := strings.CutPrefix(strings.TrimSpace(line), "usage_usec "); ok {
				used, err := strconv.ParseFloat(value, 64)
				return used / 1e6, err
			}
		}
	}
	return 0, errors.New("no cgroup of " + n.Name + " counts what its processes do")
}
