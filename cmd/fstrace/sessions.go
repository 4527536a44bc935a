package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/fstrace/fstrace/events/manifest"
	"github.com/fstrace/fstrace/ipc"
	"github.com/spf13/cobra"
)

const sessionsHelp = `sessions lists the running sessions of fstraced, and the ended sessions whose records it
still has, in the order in which they were started.

Exit status: 0; 125 if fstraced does not answer.`

func newSessions() *cobra.Command {
	var socket string
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "sessions",
		Short:   "List the running and retained sessions of fstraced",
		Long:    sessionsHelp,
		Example: "  fstrace sessions --json | jq -r '.sessions[] | select(.state == \"running\").session'",
		Args:    cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			client, err := dial(socket)
			if err != nil {
				return err
			}
			list, err := client.List(context.Background())
			if err != nil {
				return err
			}
			if asJSON {
				return writeJSON(os.Stdout, map[string]any{"sessions": list})
			}
			return writeSessions(os.Stdout, list)
		},
	}
	socketFlag(cmd, &socket)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object, with the fields of type Session in docs/protocol.md")
	ownFlagErrors(cmd)
	return cmd
}

// socketFlag gives a command its --socket.
func socketFlag(cmd *cobra.Command, socket *string) {
	cmd.Flags().SortFlags = false
	cmd.Flags().StringVar(socket, "socket", "", "connect to fstraced at `PATH` (default $XDG_RUNTIME_DIR/fstrace/socket)")
}

// ownFlagErrors points to the command's own help.
func ownFlagErrors(cmd *cobra.Command) {
	cmd.SetFlagErrorFunc(func(_ *cobra.Command, err error) error {
		return fmt.Errorf("%s: %w; see fstrace %[1]s --help", cmd.Name(), err)
	})
}

func writeJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}

// writeSessions prints a table. A running session has no exit yet.
func writeSessions(w io.Writer, list []ipc.SessionInfo) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "SESSION\tSTATE\tPID\tSTARTED\tEVENTS\tCOMMAND")
	for i := range list {
		s := &list[i]
		// Seconds are enough to read.
		started, _, _ := strings.Cut(s.Started, ".")
		fmt.Fprintf(t, "%s\t%s\t%d\t%sZ\t%d\t%s\n", s.Session, state(s), s.PID, strings.TrimSuffix(started, "Z"), s.Events,
			commandLine(manifest.Process{Argv: s.Command()}))
	}
	return t.Flush()
}

// state is a word for how a session is, or has ended.
func state(s *ipc.SessionInfo) string {
	word := s.State
	if e := s.Exit; e != nil {
		word = cmp.Or(e.Signal, "exit "+strconv.Itoa(e.Code))
	}
	if s.Complete != nil && !*s.Complete {
		word += ", incomplete"
	}
	return cmp.Or(word, "ended")
}

// completeSessions completes the names of sessions.
func completeSessions(socket *string, wanted func(*ipc.SessionInfo) bool) cobra.CompletionFunc {
	return func(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
		if len(args) > 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		client, err := dial(*socket)
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		list, err := client.List(context.Background())
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		var all []string
		for i := range list {
			if s := &list[i]; wanted(s) {
				all = append(all, s.Session+"\t"+commandLine(manifest.Process{Argv: s.Command()}))
			}
		}
		return all, cobra.ShellCompDirectiveNoFileComp
	}
}

// wantSession insists on the name of one session.
func wantSession(cmd *cobra.Command, args []string) error {
	if len(args) != 1 {
		return fmt.Errorf("%s: %d arguments, want 1: SESSION; fstrace sessions lists them", cmd.Name(), len(args))
	}
	return nil
}
