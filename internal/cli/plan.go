package cli

import (
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/imgforge/imgforge/internal/forge"
	"github.com/imgforge/imgforge/internal/plan"
)

func newPlan(app *forge.App) *cobra.Command {
	var src forge.Source
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "plan",
		Short: "Show nodes, addresses, peers, certificates, reboot windows and payload sizes; no secrets",
		Args:  exact(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			src.In = cmd.InOrStdin()
			v, err := app.Plan(src)
			if err != nil {
				return err
			}
			warn(cmd.ErrOrStderr(), v.Warnings)
			if asJSON {
				return printJSON(cmd.OutOrStdout(), v.Plan)
			}
			return printPlan(cmd.OutOrStdout(), v)
		},
	}
	clusterFlags(cmd, &src)
	cmd.Flags().StringVar(&src.Example, "example", "", "plan an embedded example instead of a file")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the whole plan as JSON")
	return cmd
}

// printPlan writes the plan as tables that fit a terminal.
func printPlan(w io.Writer, v *forge.PlanView) error {
	p := v.Plan
	t := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	fmt.Fprintf(t, "cluster\t%s\n", p.Cluster)
	fmt.Fprintf(t, "kubernetes\t%s, pods %s, services %s\n", p.Kubernetes.Version, p.Kubernetes.PodCIDR, p.Kubernetes.ServiceCIDR)
	fmt.Fprintf(t, "endpoint\t%s (%s)\n", p.Endpoint.URL, p.Endpoint.Mode)
	fmt.Fprintf(t, "network\t%s %s, MTU %d below, %d mesh, %d pods\n", p.Network.Mesh, p.Network.CIDR,
		p.Network.MTU.Underlay, p.Network.MTU.Mesh, p.Network.MTU.Pod)
	fmt.Fprintf(t, "os\t%s %s %s, %s\n", p.OS.Family, p.OS.Channel, p.OS.Arch, p.OS.Format)
	fmt.Fprintf(t, "platform\t%s\n", strings.TrimSpace(p.Platform.Provider+" "+p.Platform.Zone))
	fmt.Fprintf(t, "user-data\t%s\n", userData(p))
	fmt.Fprintf(t, "latest boot\t%s\n", orDash(p.LatestBoot))
	fmt.Fprintf(t, "certificates\t%d leaves, %d keys\n\n", len(p.Certificates), len(p.Keys))

	fmt.Fprintln(t, "NODE\tROLE\tADDRESS\tREACHED AT\tDIALS\tREBOOTS\tSTATE")
	for _, n := range p.Nodes {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", n.Name, n.Role, n.Address, orDash(n.Endpoint),
			abridge(n.Dials, 3), window(n.Window), state(n))
	}
	fmt.Fprintln(t)
	printSizes(t, v)
	for _, note := range p.Notes {
		fmt.Fprintf(t, "note: %s\n", note)
	}
	return t.Flush()
}

func printSizes(w io.Writer, v *forge.PlanView) {
	bytes := "BYTES"
	if v.Estimated != "" {
		bytes = "BYTES (ESTIMATE)"
	}
	fmt.Fprintln(w, "PAYLOAD\tFORMAT\t"+bytes+"\tAS COUNTED\tLIMIT\tFITS")
	for _, s := range v.Sizes {
		limit, fits := "none", "yes"
		if s.Limit > 0 {
			limit = strconv.Itoa(s.Limit)
			if s.Counted > s.Limit {
				fits = "no: " + s.Remedy
			}
		}
		fmt.Fprintf(w, "%s\t%s\t%d\t%d\t%s\t%s\n", s.Target, s.Format, s.Bytes, s.Counted, limit, fits)
	}
	if v.Estimated != "" {
		fmt.Fprintf(w, "sizes are estimates, made with placeholders for keys: %s\n", v.Estimated)
	}
	fmt.Fprintln(w)
}

func userData(p *plan.Plan) string {
	limit := "no practical limit"
	if p.Platform.Budget.Bytes > 0 {
		limit = fmt.Sprintf("at most %d bytes", p.Platform.Budget.Bytes)
		if p.Platform.Budget.Base64 {
			limit += " after base64"
		}
	}
	if p.Platform.Drive != "" {
		return fmt.Sprintf("a %s drive, %s", p.Platform.Drive, limit)
	}
	return fmt.Sprintf("%s, %s", p.Platform.Delivery, limit)
}

func state(n plan.Node) string {
	switch {
	case n.Reserved:
		return "reserved"
	case n.Hub:
		return "hub"
	}
	return ""
}

func window(w *plan.Window) string {
	if w == nil {
		return "-"
	}
	day := "daily"
	if len(w.Days) > 0 {
		day = strings.Join(w.Days, ",")
	}
	return fmt.Sprintf("%s %s +%dm", day, w.Start, w.Minutes)
}

func abridge(names []string, most int) string {
	if len(names) == 0 {
		return "-"
	}
	if len(names) <= most {
		return strings.Join(names, ",")
	}
	return strings.Join(slices.Clone(names[:most]), ",") + fmt.Sprintf(" and %d more", len(names)-most)
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}
