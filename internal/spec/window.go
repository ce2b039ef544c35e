package spec

import (
	"fmt"
	"regexp"
	"strings"
	"time"
)

func clockForm(s string) (message, fix string) {
	if regexp.MustCompile(`^([01]\d|2[0-3]):[0-5]\d$`).MatchString(s) {
		return "", ""
	}
	if m := regexp.MustCompile(`^[A-Za-z]{3,9} +([0-9:]+)$`).FindStringSubmatch(s); m != nil {
		return quote(s) + " names a day", fmt.Sprintf("write start: %q and put the day into days", m[1])
	}
	if regexp.MustCompile(`^\d:[0-5]\d$`).MatchString(s) {
		return quote(s) + " is not a time of day with two digits each", fmt.Sprintf("write %q", "0"+s)
	}
	return quote(s) + " is not a time of day", `write HH:MM from "00:00" to "23:59"`
}

func durationForm(s string) (message, fix string) {
	d, err := time.ParseDuration(s)
	switch {
	case err != nil:
		return quote(s) + " is not a length of time", "write hours and minutes, as in 1h or 1h30m"
	case d <= 0:
		return s + " is not longer than nothing", "write more than 0 and less than 24h, as in 1h"
	case d >= 24*time.Hour:
		return s + " does not fit into a day", "write more than 0 and less than 24h, as in 1h"
	case d%time.Minute != 0:
		return s + " is not a whole number of minutes", "write " + strings.TrimSuffix(max(d.Round(time.Minute), time.Minute).String(), "0s")
	}
	return "", ""
}

// windows checks the days; start and length are checked by their formats, and
// whether every node finds room is for the plan to say.
func (k *check) windows() {
	for _, r := range k.roles() {
		if r.Reboot == nil {
			continue
		}
		seen := map[string]bool{}
		for i, day := range r.Reboot.Days {
			if seen[day] {
				k.err(item(r.path+".reboot.days", i), quote(day)+" is listed twice", "remove one of them")
			}
			seen[day] = true
		}
		if r.Reboot.Days != nil && len(r.Reboot.Days) == 0 {
			k.err(r.path+".reboot.days", "no day is listed, so no node would ever reboot", "remove days for every day, or remove reboot for never")
		}
		if k.none(r.name) {
			k.warn(r.path+".reboot", "there are no "+r.plural()+" to reboot", "remove it")
		}
	}
}

// none tells that a role has no nodes, rather than a count that cannot be read.
func (k *check) none(name string) bool {
	for _, r := range k.roles() {
		if r.name == name {
			return r.Count == 0 && !k.src.doubtful(r.path+".count")
		}
	}
	return false
}

// plural is the role as a sentence has it.
func (r role) plural() string {
	if r.name == "proxy" {
		return "proxies"
	}
	return r.name + "s"
}
