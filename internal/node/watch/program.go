package watch

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

// programDirs are where nodes have their programs, whatever a unit's PATH says.
const programDirs = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/opt/bin"

// program is the path of a program, or empty.
func program(dirs, name string) string {
	for _, dir := range filepath.SplitList(dirs) {
		path := filepath.Join(dir, name)
		if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0 {
			return path
		}
	}
	return ""
}

// output runs a program for a bounded time and returns what it printed.
func output(ctx context.Context, dirs, name string, args ...string) (string, error) {
	path := program(dirs, name)
	if path == "" {
		return "", fmt.Errorf("%s: %w", name, exec.ErrNotFound)
	}
	ctx, cancel := context.WithTimeout(ctx, 4*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.WaitDelay = time.Second
	out, err := cmd.Output()
	if ctx.Err() != nil {
		return "", fmt.Errorf("%s does not answer", name)
	}
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return string(out), fmt.Errorf("%s: %s", name, lastLine(string(exit.Stderr), err.Error()))
	}
	return string(out), err
}

// journal is what a unit said lately and in this boot, oldest first.
func journal(ctx context.Context, dirs, unit string) []string {
	out, err := output(ctx, dirs, "journalctl", "--unit="+unit, "--boot", "--since=-3min", "--lines=80", "--output=cat", "--no-pager", "--quiet")
	if err != nil {
		return nil // without a journal the code says less
	}
	return strings.Split(strings.TrimSpace(out), "\n")
}

// state is what systemd says of a unit, such as "activating (auto-restart)".
func state(ctx context.Context, dirs, unit string) string {
	out, err := output(ctx, dirs, "systemctl", "show", "--property=LoadState,ActiveState,SubState", unit)
	if err != nil {
		return ""
	}
	values := map[string]string{}
	for line := range strings.Lines(out) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		values[name] = value
	}
	if values["LoadState"] == "not-found" {
		return unit + " does not exist"
	}
	return fmt.Sprintf("%s is %s (%s)", unit, values["ActiveState"], values["SubState"])
}

// lastWord asks a unit for its last error: not while a boot is still young, when that
// would cost it more than it tells, and then no more often than it may change.
type lastWord struct {
	since, called, asked time.Time
	word                 string
}

const lastWordRest = 10 * time.Second

func (w *lastWord) of(ctx context.Context, o Options, unit string) string {
	now := o.Now()
	if now.Sub(w.called) > 2*o.Rest { // well in between
		w.since, w.word, w.asked = now, "", time.Time{}
	}
	w.called = now
	if now.Sub(w.since) < o.Grace/4 || now.Sub(w.asked) < lastWordRest {
		return w.word
	}
	w.asked = now
	w.word = state(ctx, o.Programs, unit) + after(": ", lastError(journal(ctx, o.Programs, unit)))
	return w.word
}

// lastError is the last line that is an error in the log of a program of Kubernetes,
// of etcd or of containerd, and the last line of all where none is.
func lastError(log []string) string {
	last := ""
	for i := len(log) - 1; i >= 0; i-- {
		line := strings.TrimSpace(log[i])
		if errorLine().MatchString(line) {
			return plain(line)
		}
		// systemd's own lines about the unit say less than the program's.
		if last == "" && line != "" && !strings.HasPrefix(line, "kubelet.service:") && !strings.HasPrefix(line, "imgforge-") && !strings.HasPrefix(line, "Started ") {
			last = line
		}
	}
	return plain(last)
}

// errorLine matches klog's errors, etcd's JSON, logfmt, and a panic.
func errorLine() *regexp.Regexp {
	return regexp.MustCompile(`^[EF][0-9]{4} |"level":"(error|fatal|panic)"|level=(error|fatal|panic)|^panic: |^Error: `)
}

const longestLine = 400

// plain makes one line of a log fit for a console: no time stamps, which would make
// every look new, nothing that could be a key, and not too long.
func plain(line string) string {
	line = strings.TrimSpace(line)
	if strings.Contains(line, "PRIVATE KEY") {
		return ""
	}
	// containerd writes logs of pods as TIME STREAM TAG TEXT.
	line = regexp.MustCompile(`^[0-9-]+T\S+ (stdout|stderr) [FP] `).ReplaceAllString(line, "")
	line = regexp.MustCompile(`^[EFWI][0-9]{4} [0-9:.]+ +[0-9]+ `).ReplaceAllString(line, "")
	line = regexp.MustCompile(`"ts":"[^"]*",|(^| )time="?[0-9T:.Z+-]+"? `).ReplaceAllString(line, "")
	line = regexp.MustCompile(`[0-9]{1,3}(\.[0-9]{1,3}){3}:[0-9]+->`).ReplaceAllString(line, "")
	line = regexp.MustCompile(`[A-Za-z0-9+/=_-]{40,}`).ReplaceAllStringFunc(line, func(word string) string {
		if telling(word) {
			return word
		}
		return "..."
	})
	if len(line) > longestLine {
		line = strings.ToValidUTF8(line[:longestLine], "") + "..."
	}
	return line
}

// telling is a long word that people can read: a path or a name, and no key, token
// or digest.
func telling(word string) bool {
	switch {
	case strings.ContainsAny(word, "+="):
		return false
	case strings.HasPrefix(word, "/"):
		return true
	case !strings.ContainsAny(word, "0123456789"):
		return true
	case strings.ToLower(word) != word:
		return false
	}
	return strings.ContainsAny(word, "/-")
}

// brief is an error without what differs every time.
func brief(err error) string { return plain(err.Error()) }

func lastLine(text, otherwise string) string {
	all := strings.Split(strings.TrimSpace(text), "\n")
	if last := all[len(all)-1]; last != "" {
		return plain(last)
	}
	return otherwise
}
