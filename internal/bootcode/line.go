package bootcode

import (
	"regexp"
	"strings"
)

var (
	// escapes are what terminals act on: colours, moves of the cursor, titles.
	escapes = regexp.MustCompile("\x1b(?:\\[[0-?]*[ -/]*[@-~]|\\][^\x07\x1b]*(?:\x07|\x1b\\\\)|[@-Z\\\\^_]|[ -/][0-~])")
	// clocks are the times that kernel, journal and container logs put in front of a line.
	clocks = regexp.MustCompile(`^\s*(\[\s*\d+\.\d{3,9}\]` +
		`|\[?(?:[A-Z][a-z]{2} )?\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d+)?(?:Z|[+-]\d\d:?\d\d| [A-Z]{2,5})?\]?` +
		`|[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d(?:\.\d+)?` +
		`|\d{10}\.\d{6})(?: |$)`)
	// stopwatch is the time that programs which record a console put in front of its own.
	stopwatch = regexp.MustCompile(`^\s*\d{1,7}\.\d{1,3} \[`)
	// boots are lines that only a machine that starts anew writes.
	boots = regexp.MustCompile(`^-- (?:Boot [0-9a-f]{32}|Reboot) --|Linux version \d|systemd \d\S* running in system mode`)
)

// lines are those of a text as a screen would show them: without escapes, and
// with every carriage return as the end of one.
func lines(text string) []string {
	text = escapes.ReplaceAllString(text, "")
	var out []string
	for line := range strings.FieldsFuncSeq(text, func(r rune) bool { return r == '\n' || r == '\r' }) {
		line = strings.Map(func(r rune) rune {
			if r < ' ' && r != '\t' || r == 0x7f {
				return -1
			}
			return r
		}, line)
		if strings.TrimSpace(line) != "" {
			out = append(out, line)
		}
	}
	return out
}

// timed splits a line into the time in front of it, as it stands there, and the rest.
func timed(line string) (time, rest string) {
	if m := stopwatch.FindString(line); m != "" {
		line = line[len(m)-1:]
	}
	for {
		m := clocks.FindStringSubmatch(line)
		if m == nil {
			return time, line
		}
		if time == "" {
			time = strings.TrimSpace(strings.Trim(m[1], "[]"))
		}
		line = line[len(m[0]):]
	}
}

// origin is what stands between the time and the text of a line: the machine, where
// the log names it, and the program with its number.
func origin(tag string) (machine, program string) {
	words := strings.Fields(tag)
	if len(words) == 0 {
		return "", ""
	}
	program = words[len(words)-1]
	if len(words) > 1 && strings.HasSuffix(program, ":") && strings.Trim(words[len(words)-2], "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-.") == "" {
		machine = words[len(words)-2]
	}
	return machine, program
}
