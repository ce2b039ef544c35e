package watch

import (
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

// podLog is the end of the log of a static pod's newest container, without what
// containerd puts before each line: TIME STREAM TAG.
func podLog(root, name string) []string {
	files, _ := filepath.Glob(filepath.Join(root, "/var/log/pods/kube-system_"+name+"-*", name, "*.log"))
	newest, at := "", time.Time{}
	for _, file := range files {
		if info, err := os.Stat(file); err == nil && info.ModTime().After(at) {
			newest, at = file, info.ModTime()
		}
	}
	f, err := os.Open(newest)
	if err != nil {
		return nil // no container ran yet
	}
	defer f.Close()
	const end = 16 << 10
	if info, err := f.Stat(); err == nil && info.Size() > end {
		f.Seek(-end, io.SeekEnd)
	}
	data, _ := io.ReadAll(io.LimitReader(f, end))
	head := regexp.MustCompile(`(?m)^[0-9-]+T\S+ (stdout|stderr) [FP] `)
	return strings.Split(strings.TrimSpace(head.ReplaceAllString(string(data), "")), "\n")
}

// Ended is the error that ended the newest container of a static pod, and "" when its
// log shows none: it runs, or somebody ended it.
func Ended(root, name string) string {
	ending := regexp.MustCompile(`"level":"(fatal|panic)"|^panic: |^fatal error: |^unexpected fault address`)
	for _, line := range podLog(root, name) { // the first of them is the cause
		if ending.MatchString(line) {
			return plain(line)
		}
	}
	return ""
}
