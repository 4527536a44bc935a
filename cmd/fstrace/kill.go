package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/fstrace/fstrace/ipc"
	"github.com/spf13/cobra"
)

const killHelp = `kill ends the command of a session of fstraced and all its descendants. It sends SIGTERM
and, after a grace period, SIGKILL to those that are left. It returns when fstraced has
accepted the request; fstrace watch shows when the session ends.

Exit status: 0; 125 if there is no such session, if it has ended, or if fstraced does
not answer.`

func newKill() *cobra.Command {
	var socket string
	var grace time.Duration
	cmd := &cobra.Command{
		Use:     "kill SESSION",
		Short:   "End a session of fstraced",
		Long:    killHelp,
		Example: "  fstrace kill --grace 2s 018c2b5e-7d2a-7f00-8a55-0242ac120002",
		Args:    wantSession,
		RunE: func(_ *cobra.Command, args []string) error {
			if grace < 0 {
				return errors.New("kill: --grace: must not be negative")
			}
			client, err := dial(socket)
			if err != nil {
				return err
			}
			if err := client.Cancel(context.Background(), args[0], grace); err != nil {
				return fmt.Errorf("kill: %w", err)
			}
			return nil
		},
	}
	socketFlag(cmd, &socket)
	cmd.Flags().DurationVar(&grace, "grace", 10*time.Second, "send SIGKILL `D` after SIGTERM; 0 means at once")
	cmd.ValidArgsFunction = completeSessions(&socket, func(s *ipc.SessionInfo) bool { return s.State == "running" })
	ownFlagErrors(cmd)
	return cmd
}
