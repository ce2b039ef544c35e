package node

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"time"

	"github.com/imgforge/imgforge/internal/artifact"
	"github.com/imgforge/imgforge/internal/bootcode"
	"github.com/imgforge/imgforge/internal/node/drive"
	"github.com/imgforge/imgforge/internal/node/step"
	"github.com/imgforge/imgforge/internal/node/userdata"
)

// line is the claim line of this machine. What the machine carries itself comes first.
// Only sealed slots need one, and only then is anybody asked: an image that carries its
// payload never consults the provider, so this is the one who does.
func (c Claim) line(ctx context.Context, h host, slots []slot) (claimLine, error) {
	line, err := h.claimLine()
	if err != nil || line.source != "" || !slices.ContainsFunc(slots, func(s slot) bool { return s.sealed }) {
		return line, err
	}
	began := time.Now()
	for {
		line, why := c.lookOutside(ctx, h)
		if why == nil {
			return line, nil
		}
		patience := min(c.Wait, cmp.Or(c.TagGrace, tagGrace))
		if why.Code.Number == bootcode.UserDataSilent {
			patience = c.Wait // networks take their time
		}
		if time.Since(began) >= patience {
			return claimLine{}, why
		}
		c.Report.Waiting(step.Claim, "for the claim line of this node: "+strings.ReplaceAll(why.Why, "\n", "; "))
		h.at("no claim line yet")
		if !sleep(ctx, cmp.Or(c.Again, time.Second)) {
			return claimLine{}, why
		}
	}
}

// given is the user-data that one place outside of the machine's own files holds.
type given struct {
	source string // for messages
	data   []byte
}

// lookOutside asks once, on attached drives and at the provider. Exactly one claim line
// is taken; the failure says what was found instead, without a byte of it.
func (c Claim) lookOutside(ctx context.Context, h host) (claimLine, *bootcode.Failure) {
	provider := h.provider()
	all, looked := drives(h, provider)
	service, where, silent := c.ask(ctx, provider)
	all, looked = append(all, service...), append(looked, where...)
	var lines []claimText
	var foreign []string
	for _, g := range all {
		if text, ok := oneLine(g.data); ok {
			lines = append(lines, claimText{g.source, text})
			continue
		}
		foreign = append(foreign, g.source+" is "+kind(g.data))
	}
	line, err := agree(lines)
	switch {
	case err != nil:
		return claimLine{}, asFailure(err)
	case line.source != "":
		return line, nil
	case len(foreign) > 0:
		return claimLine{}, bootcode.Fail(bootcode.UserDataForeign, "%s", strings.Join(foreign, "\n"))
	case silent != nil:
		return claimLine{}, bootcode.Fail(bootcode.UserDataSilent, "%v", silent)
	}
	return claimLine{}, bootcode.Fail(bootcode.ClaimMissing, "looked for a claim line in %s", strings.Join(slices.Concat(claimPlaces(), looked), ", "))
}

// oneLine accepts data that is one line and begins as claim lines do; whether it is
// whole is for the parser to say.
func oneLine(data []byte) (string, bool) {
	text := strings.TrimSpace(string(data))
	return text, len(text) <= maxClaimLine && strings.HasPrefix(text, artifact.ClaimPrefix) && !strings.ContainsAny(text, "\r\n")
}

// maxClaimLine is more than the longest node name and the key take, in bytes.
const maxClaimLine = 512

// kind says what user-data that is no claim line looks like.
func kind(data []byte) string {
	if n := strings.Count(string(data), artifact.ClaimPrefix); n > 1 {
		return fmt.Sprintf("%d claim lines, where that of this node alone belongs", n)
	} else if n == 1 {
		return fmt.Sprintf("a claim line with something around it (%d bytes), where it belongs alone", len(data))
	}
	return userdata.Kind(data)
}

// ask asks the provider's metadata service, where there is one.
func (c Claim) ask(ctx context.Context, provider string) (found []given, looked []string, silent error) {
	if c.UserData == nil {
		return nil, nil, nil
	}
	s, ok := c.UserData(provider)
	if !ok {
		return nil, nil, nil
	}
	source := "the user-data that " + provider + " has for this server"
	data, err := s.Read(ctx)
	switch {
	case errors.Is(err, userdata.ErrNone):
		return nil, []string{source + " (it has none)"}, nil
	case err != nil:
		return nil, nil, err
	}
	return []given{{source, data}}, nil, nil
}

// driveFiles are what a drive of each label holds user-data in: NoCloud's, OpenStack's,
// and one of our own for a drive that nothing else looks at.
func driveFiles() [][2]string {
	return [][2]string{{"cidata", "/user-data"}, {"config-2", "/openstack/latest/user_data"}, {claimDrive, "/claim"}}
}

// claimDrive is the label of a drive that holds a claim line and nothing else. FAT takes
// 11 characters.
const claimDrive = "imgf-claim"

// drives reads what is attached to the machine, where that is how user-data comes.
func drives(h host, provider string) (found []given, looked []string) {
	if !slices.Contains([]string{"openstack", "proxmox", "libvirt", "metal"}, provider) {
		return nil, nil
	}
	for _, f := range driveFiles() {
		label, file := f[0], f[1]
		looked = append(looked, fmt.Sprintf("%s of a drive labelled %s", file, label))
		for _, d := range drive.Labelled(h.root, label) {
			data, err := d.Read(file, userdata.Most)
			d.Close()
			if errors.Is(err, fs.ErrNotExist) {
				continue
			}
			source := fmt.Sprintf("%s of drive %s (%s)", file, d.Device, d.Label)
			if err != nil {
				looked = append(looked, fmt.Sprintf("%s, which cannot be read: %v", source, err))
				continue
			}
			found = append(found, given{source, data})
		}
	}
	return found, looked
}
