package forge

// proven refuses images that nobody should boot from, before any goes away: of a whole
// folder all is verified, of one image the signatures of the folder that it is in. What
// was not checked is said at once, and returned.
func (a *App) proven(o PublishScalewayOptions, chosen []roleDisk) (unchecked []string, err error) {
	if o.Clean {
		return nil, nil
	}
	v, dir := &Verification{}, o.Out
	switch {
	case o.Image == "":
		v, err = a.Verify(o.Source, dir, "")
	case chosen[0].out == "":
		v.skipped("who made "+o.Image+" was not checked", "it is in no output folder whose manifest lists it")
	default:
		dir = chosen[0].out
		v.skipped("only the signatures and the hash of "+o.Image+" were checked", "--image takes one file; `imgforge verify "+dir+"` checks the rest")
		err = a.signatures(v, o.Source, dir, "")
	}
	if err != nil {
		return nil, err
	}
	if err := publishable(dir, v); err != nil {
		return nil, err
	}
	for _, line := range v.Unchecked {
		a.logf("%s", line)
	}
	return v.Unchecked, nil
}
