package cli

import (
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/imgforge/imgforge/internal/bootcode"
	"github.com/imgforge/imgforge/internal/forge"
)

// doctorOptions are what the command line says.
type doctorOptions struct {
	forge.DoctorOptions
	codes, asJSON bool
}

func newDoctor(app *forge.App) *cobra.Command {
	var o doctorOptions
	cmd := &cobra.Command{
		Use:   "doctor FILE...|-",
		Short: "Find boot codes in the text of a console or journal, or ask nodes, and say what to change",
		Long: `Doctor reads what nodes say when they boot and prints first what is open: what happened, why, and what to
change; then what waits, and what has passed. A FILE is the text of a serial console, of journalctl or of any log, as it is
copied out of a browser; - is standard input.

With --node or --all it asks the nodes themselves, over the cluster network or a tunnel (--address), with a certificate that
lives for ten minutes, reads their status and nothing else; it needs the identity of the authorities, as imgforge kubeconfig does.

It exits with 0 when nothing is open, with 1 when a code is open or a node does not answer.`,
		Example: "  imgforge doctor console.log\n  journalctl -b | imgforge doctor -\n  imgforge doctor --all\n  imgforge doctor --node worker-3 --address 127.0.0.1:9440",
		RunE: func(cmd *cobra.Command, files []string) error {
			o.Source.In = cmd.InOrStdin()
			if err := o.check(files); err != nil {
				return err
			}
			if o.codes {
				return printCodes(cmd.OutOrStdout(), o.asJSON)
			}
			seen, err := observe(cmd, app, o, files)
			if err != nil {
				return err
			}
			return seen.print(cmd.OutOrStdout(), cmd.ErrOrStderr(), o.asJSON)
		},
	}
	clusterFlags(cmd, &o.Source)
	cmd.Flags().StringArrayVar(&o.Nodes, "node", nil, "ask this node; may be repeated")
	cmd.Flags().BoolVar(&o.All, "all", false, "ask every node that is not in reserve")
	cmd.Flags().StringVar(&o.Address, "address", "", "dial HOST[:PORT] instead of the node's address in the cluster network")
	cmd.Flags().BoolVar(&o.codes, "codes", false, "print every boot code and what to change")
	cmd.Flags().BoolVar(&o.asJSON, "json", false, "print JSON")
	return cmd
}

// check refuses what is not exactly one of: texts, nodes, the table.
func (o doctorOptions) check(files []string) error {
	asks := 0
	for _, asked := range []bool{len(files) > 0, len(o.Nodes) > 0 || o.All, o.codes} {
		if asked {
			asks++
		}
	}
	if asks != 1 {
		return usagef("doctor takes the files to read, - for standard input, or --node, --all or --codes; see imgforge doctor --help")
	}
	if len(o.Nodes) > 0 && o.All {
		return usagef("doctor takes either --node or --all")
	}
	if o.Address != "" && len(o.Nodes) != 1 {
		return usagef("--address goes with a single --node")
	}
	return nil
}

// observed is what was found in texts or told by nodes.
type observed struct {
	Nodes []forge.NodeReport `json:"nodes,omitempty"`
	bootcode.Diagnosis
	texts, words int
}

func observe(cmd *cobra.Command, app *forge.App, o doctorOptions, files []string) (*observed, error) {
	seen := &observed{texts: len(files), Diagnosis: bootcode.NewDiagnosis()}
	for _, file := range files {
		text, err := readText(cmd.InOrStdin(), file)
		if err != nil {
			return nil, err
		}
		source := file
		if len(files) == 1 {
			source = ""
		}
		words := bootcode.Parse(text)
		seen.words += len(words)
		seen.Add(source, words)
	}
	if len(files) > 0 {
		return seen, nil
	}
	nodes, err := app.Doctor(cmd.Context(), o.DoctorOptions)
	seen.Nodes = nodes
	for _, n := range nodes {
		if n.Status != nil {
			seen.Add("", wordsOf(n))
		}
	}
	return seen, err
}

// maxText bounds what is read of a log, in bytes; of a larger file its end counts.
const maxText = 64 << 20

func readText(in io.Reader, file string) (string, error) {
	if file == "-" {
		data, err := io.ReadAll(io.LimitReader(in, maxText+1))
		if err != nil {
			return "", fmt.Errorf("read the text from standard input: %w", err)
		}
		if len(data) > maxText {
			return "", usagef("standard input is longer than %d MiB: pass its end, or name a file", maxText>>20)
		}
		return string(data), nil
	}
	f, err := os.Open(file)
	if err != nil {
		return "", usagef("%v", err)
	}
	defer f.Close()
	if info, err := f.Stat(); err == nil && info.Mode().IsRegular() && info.Size() > maxText {
		if _, err := f.Seek(-maxText, io.SeekEnd); err != nil {
			return "", fmt.Errorf("read the text: %w", err)
		}
	}
	data, err := io.ReadAll(io.LimitReader(f, maxText))
	if err != nil {
		return "", fmt.Errorf("read the text: %w", err)
	}
	return string(data), nil
}

// wordsOf is what a node's status says of its steps.
func wordsOf(n forge.NodeReport) []bootcode.Word {
	var out []bootcode.Word
	for _, s := range n.Status.Steps {
		w := bootcode.Word{State: s.State, Step: s.Step, Text: s.Text}
		if found := bootcode.Parse(s.Text); s.Code != 0 && len(found) == 1 {
			w = found[0]
		} else if s.Code != 0 { // not in the form of the helpers known here
			w = bootcode.Word{State: bootcode.WordCode, Number: s.Code, Name: "unknown", Step: s.Step, Text: s.Text}
		}
		w.Node, w.Time = n.Node, s.Since.UTC().Format("2006-01-02 15:04:05 UTC")
		out = append(out, w)
	}
	return out
}

func printCodes(w io.Writer, asJSON bool) error {
	if asJSON {
		type code struct {
			Number  int    `json:"number"`
			Name    string `json:"name"`
			Step    string `json:"step"`
			Warning bool   `json:"warning"`
			What    string `json:"what"`
			Change  string `json:"change"`
		}
		var all []code
		for _, c := range bootcode.All() {
			all = append(all, code(c))
		}
		return printJSON(w, all)
	}
	var b strings.Builder
	for _, c := range bootcode.All() {
		kind := "code"
		if c.Warning {
			kind = "warning"
		}
		fmt.Fprintf(&b, "%d %s (%s, step %s): %s\n    change: %s\n", c.Number, c.Name, kind, c.Step, c.What, c.Change)
	}
	_, err := io.WriteString(w, b.String())
	return err
}
