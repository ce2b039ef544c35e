package lab

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
)

// checkFloating cuts the power of whoever holds the floating address.
func (t *Trial) checkFloating(ctx context.Context, machines []*VM) error {
	var holder *VM
	t.Check(ctx, "one machine holds the floating address, and it answers there", boundMachineCheck, gently(func(ctx context.Context) (_ string, err error) {
		if holder, err = t.holderOf(ctx, machines); err != nil {
			return "", err
		}
		return holder.Name + " holds " + t.Plan.Endpoint.Address, t.answersAt(ctx, machines, holder)
	}))
	if holder == nil {
		return errors.New("nobody holds the floating address")
	}
	if err := holder.PowerOff(ctx); err != nil {
		return err
	}
	cut := time.Now()
	var left []*VM
	for _, v := range machines {
		if v != holder {
			left = append(left, v)
		}
	}
	t.Check(ctx, "the floating address moves when its holder loses power", boundMachineCheck, func(ctx context.Context) (string, error) {
		next, err := t.holderOf(ctx, left)
		if err != nil {
			return "", err
		}
		return fmt.Sprintf("%s held it, %s holds it %.1f s after the cut, and it answers there", holder.Name, next.Name, time.Since(cut).Seconds()), t.answersAt(ctx, left, next)
	})
	t.Check(ctx, "etcd takes writes without the machine that is off", boundMachineCheck, gently(func(ctx context.Context) (string, error) {
		_, err := left[0].Run(ctx, etcdctl("put", "lab", "without "+holder.Name)...)
		return "two of three", err
	}))
	return nil
}

// holderOf is the one machine that has the floating address.
func (t *Trial) holderOf(ctx context.Context, machines []*VM) (*VM, error) {
	var holders []*VM
	for _, v := range machines {
		out, err := v.Run(ctx, "ip", "-4", "-oneline", "address", "show", "to", t.Plan.Endpoint.Address)
		if err != nil {
			return nil, err
		}
		if strings.TrimSpace(out) != "" {
			holders = append(holders, v)
		}
	}
	if len(holders) != 1 {
		return nil, fmt.Errorf("%d machines hold %s", len(holders), t.Plan.Endpoint.Address)
	}
	return holders[0], nil
}

// answersAt asks for a ready API at the floating address, from a machine that does not hold it.
func (t *Trial) answersAt(ctx context.Context, machines []*VM, holder *VM) error {
	for _, v := range machines {
		if v == holder {
			continue
		}
		port := t.Plan.Endpoint.APIServerPort
		_, err := v.Run(ctx, "curl", "-sf", "--max-time", "20", "--cacert", "/etc/kubernetes/pki/ca.crt",
			"--connect-to", fmt.Sprintf("kubernetes:%d:%s:%d", port, t.Plan.Endpoint.Address, port), fmt.Sprintf("https://kubernetes:%d/readyz", port))
		return err
	}
	return nil
}
