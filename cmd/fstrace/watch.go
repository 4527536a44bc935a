package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"

	"github.com/fstrace/fstrace/cmd/internal/commandline"
	"github.com/fstrace/fstrace/events"
	"github.com/fstrace/fstrace/ipc"
	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"
)

const watchHelp = `watch prints the record of a session of fstraced as events arrive, until the session
ends. For a session that has ended it prints the retained record.

Exit status: 0 if the record is printed to its end, however the command ended; 125 if
there is no such session, if its record is no longer available, or if fstraced ends.`

func newWatch() *cobra.Command {
	var socket, format string
	var from uint64
	cmd := &cobra.Command{
		Use:     "watch SESSION",
		Short:   "Print the record of a session of fstraced as events arrive",
		Long:    watchHelp,
		Example: "  fstrace watch -f jsonl --from 1000 018c2b5e-7d2a-7f00-8a55-0242ac120002",
		Args:    wantSession,
		RunE: func(_ *cobra.Command, args []string) error {
			if format != "text" && format != "jsonl" {
				return fmt.Errorf("watch: --format %q: must be text or jsonl", format)
			}
			client, err := dial(socket)
			if err != nil {
				return err
			}
			letStop()
			if err := watch(os.Stdout, client, args[0], format, from); err != nil {
				return fmt.Errorf("watch: %w", err)
			}
			return nil
		},
	}
	socketFlag(cmd, &socket)
	cmd.Flags().StringVarP(&format, "format", "f", "text", "`FORMAT` to print: text or jsonl")
	cmd.Flags().Uint64Var(&from, "from", 1, "start at the event with sequence number `SEQ`")
	completeWords(cmd, "format", "text", "jsonl")
	cmd.ValidArgsFunction = completeSessions(&socket, func(*ipc.SessionInfo) bool { return true })
	ownFlagErrors(cmd)
	return cmd
}

func watch(w io.Writer, client *ipc.Client, session, format string, from uint64) error {
	stream, err := client.Subscribe(context.Background(), session, from)
	if err != nil {
		return err
	}
	defer stream.Close()
	if format == "jsonl" {
		_, err = io.Copy(w, stream.Record())
	} else {
		err = stream.Replay(events.NewText(w, events.LineBuffered()))
	}
	if told := stream.Result(); told != nil && told.Error != "" {
		return fmt.Errorf("the record is cut off: %s", told.Error)
	}
	if errors.Is(err, ipc.ErrGone) {
		return errors.New("fstraced has ended: the record is cut off, and the session's command was killed")
	}
	return commandline.Cause(err)
}

// letStop lets the terminal stop this process: here is no command to be stopped first
// (package signals). It is enough that one thread takes the signal.
func letStop() {
	runtime.LockOSThread()
	var stops unix.Sigset_t
	for _, sig := range []unix.Signal{unix.SIGTSTP, unix.SIGTTIN, unix.SIGTTOU} {
		stops.Val[0] |= 1 << (sig - 1)
	}
	_ = unix.PthreadSigmask(unix.SIG_UNBLOCK, &stops, nil)
}
