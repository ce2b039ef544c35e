package cli

import (
	"fmt"
	"io"
	"os"
	"strconv"
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
		Use:   "doctor FILE...|-|NUMBER...",
		Short: "Find boot codes in the text of a console or journal, or ask nodes, and say what to change",
		Long: `Doctor reads what nodes say when they boot and prints first what is open: what happened, why, and what to
change; then what waits, and what has passed. A FILE is the text of a serial console, of journalctl or of any log, as it is
copied out of a browser; - is standard input. A NUMBER is a boot code to explain.

With --node or --all it asks the nodes themselves, over the cluster network or a tunnel (--address), with a certificate that
lives for ten minutes, reads their status and nothing else; it needs the identity of the authorities, as imgforge kubeconfig does.

It exits with 0 when nothing is open, with 1 when a code is open, a node does not answer, or a text holds no word of a node.`,
		Example: "  imgforge doctor console.log\n  imgforge doctor 303\n  journalctl -b | imgforge doctor -\n  imgforge doctor --all\n  imgforge doctor --node worker-3 --address 127.0.0.1:9440",
		RunE: func(cmd *cobra.Command, files []string) error {
			o.Source.In = cmd.InOrStdin()
			asked, err := o.asked(files)
			if err != nil {
				return err
			}
			if asked != nil {
				return printCodes(cmd.OutOrStdout(), asked, o.asJSON)
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

// asked are the codes to print: all, or those whose numbers stand in the place of
// files; none when texts or nodes are to be read.
func (o doctorOptions) asked(args []string) ([]bootcode.Code, error) {
	var codes []bootcode.Code
	for _, a := range args {
		if _, err := os.Stat(a); err == nil || strings.Trim(a, "0123456789") != "" || a == "" {
			break
		}
		number, err := strconv.Atoi(a)
		c, known := bootcode.Of(number)
		if err != nil || !known {
			return nil, usagef("no boot code has the number %s: `imgforge doctor --codes` lists them; a newer imgforge-node may know more", a)
		}
		codes = append(codes, c)
	}
	if len(codes) > 0 && len(codes) == len(args) && !o.codes && !o.All && len(o.Nodes) == 0 {
		return codes, nil
	}
	if err := o.check(args); err != nil || !o.codes {
		return nil, err
	}
	return bootcode.All(), nil
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

func printCodes(w io.Writer, codes []bootcode.Code, asJSON bool) error {
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
		for _, c := range codes {
			all = append(all, code(c))
		}
		return printJSON(w, all)
	}
	var b strings.Builder
	for _, c := range codes {
		kind := "code"
		if c.Warning {
			kind = "warning"
		}
		fmt.Fprintf(&b, "%d %s (%s, step %s): %s\n    change: %s\n", c.Number, c.Name, kind, c.Step, c.What, c.Change)
	}
	_, err := io.WriteString(w, b.String())
	return err
}
