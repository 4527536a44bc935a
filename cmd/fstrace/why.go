package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/fstrace/fstrace/events"
	"github.com/fstrace/fstrace/events/manifest"
	"github.com/spf13/cobra"
)

const whyHelp = `why explains how the command of a manifest used a path. For the first access of each
kind it prints the system call, the string that the program passed, the symbolic links
on the way, and the chain of programs from the one that made the access up to the
command.

Exit status: 0 if the manifest has the path; 1 if not; 2 if the manifest cannot be read.`

func newWhy(status *int) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "why MANIFEST PATH",
		Short:   "Explain which process accessed a path, and why",
		Long:    whyHelp,
		Example: "  fstrace why build.json /etc/localtime",
		Args:    wantArguments(status, "MANIFEST", "PATH"),
		RunE: func(_ *cobra.Command, args []string) error {
			m, err := readManifest(args[0], manifest.Decode)
			if err != nil {
				fmt.Fprintf(os.Stderr, "fstrace: why: %v\n", err)
				*status = exitUnsure
				return nil
			}
			x := explain(m, args[1])
			if x == nil {
				fmt.Fprintf(os.Stderr, "fstrace: why: %s: no access to it\n", events.Quote(args[1]))
				*status = exitDifferent
				return nil
			}
			return writeExplanation(os.Stdout, x)
		},
	}
	failsWith(cmd, status, exitUnsure)
	return cmd
}

// explain looks a path up as it is given, from the working directory or from the
// command's, and with the symbolic links of its directory part resolved, as the
// manifest has it.
func explain(m *manifest.Manifest, path string) *manifest.Explanation {
	candidates := []string{path}
	if !filepath.IsAbs(path) {
		candidates = nil
		if here, err := filepath.Abs(path); err == nil {
			candidates = append(candidates, here)
		}
		candidates = append(candidates, filepath.Join(m.Cwd, path))
	}
	for _, c := range candidates {
		c = filepath.Clean(c)
		if x := m.Why(c); x != nil {
			return x
		}
		if dir, err := filepath.EvalSymlinks(filepath.Dir(c)); err == nil {
			if x := m.Why(filepath.Join(dir, filepath.Base(c))); x != nil {
				return x
			}
		}
	}
	return nil
}

func writeExplanation(w io.Writer, x *manifest.Explanation) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s\n", events.Quote(x.Path), strings.Join(x.Roles, ", "))
	for i := range x.Accesses {
		a := &x.Accesses[i]
		fmt.Fprintf(&b, "\n%s (%s)", a.Op, a.State)
		if a.Path != x.Path {
			fmt.Fprintf(&b, " of %s", events.Quote(a.Path))
		}
		if a.Syscall == "" {
			b.WriteString(", as a descriptor that the command was started with")
		} else {
			fmt.Fprintf(&b, " by %s", a.Syscall)
		}
		if a.As != "" {
			fmt.Fprintf(&b, ", as %q", a.As)
		}
		b.WriteByte('\n')
		for _, l := range a.Links {
			fmt.Fprintf(&b, "  over %s -> %s\n", events.Quote(l.Path), events.Quote(l.Target))
		}
		for j, p := range a.Chain {
			word := "by"
			if j > 0 {
				word = "of"
			}
			fmt.Fprintf(&b, "  %s %d %s\n", word, p.PID, commandLine(p))
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// commandLine is a program's arguments, quoted where blanks would mislead.
func commandLine(p manifest.Process) string {
	words := make([]string, len(p.Argv))
	for i, arg := range p.Argv {
		if words[i] = events.Quote(arg); strings.ContainsAny(arg, " '\\") && words[i] == arg {
			words[i] = fmt.Sprintf("%q", arg)
		}
	}
	return strings.Join(words, " ")
}
