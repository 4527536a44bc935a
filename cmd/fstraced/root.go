package main

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/fstrace/fstrace/cmd/internal/commandline"
	"github.com/fstrace/fstrace/ipc"
	"github.com/spf13/cobra"
)

// flags as given.
type flags struct {
	socket     string
	idleExit   time.Duration
	limits     ipc.Limits
	retainTime time.Duration
	spoolBytes string
	message    string
	memory     string
	spoolDir   string
	allowUIDs  []int
	drain      string
	drainTime  time.Duration
	grace      time.Duration
	logLevel   string
	pprof      string
	worker     string
	workerIdle time.Duration
}

const longHelp = `fstraced runs commands for its clients and records every file access of them. It
listens on a Unix socket, by default in $XDG_RUNTIME_DIR/fstrace, and serves its own
user. fstrace --connect is a client; docs/protocol.md describes how to write another.

SIGTERM ends it: it starts no more commands, running commands end as --drain says, and
clients get the end of their records. If the daemon is killed, its commands are killed.`

// execute runs the command line and returns the exit status.
func execute(args []string) int {
	f := &flags{limits: ipc.DefaultLimits()}
	root := newRoot(f)
	root.SetArgs(args)
	if err := root.Execute(); err != nil {
		fmt.Fprintf(os.Stderr, "fstraced: %v\n", err)
		return 1
	}
	return 0
}

func newRoot(f *flags) *cobra.Command {
	root := &cobra.Command{
		Use:           "fstraced [flags]",
		Short:         "Run commands for clients and record every file access",
		Long:          longHelp,
		Version:       commandline.Version(),
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          cobra.NoArgs,
		RunE:          func(*cobra.Command, []string) error { return serve(f) },
	}
	root.SetVersionTemplate("{{.Name}} {{.Version}}\n")
	root.CompletionOptions.DisableDefaultCmd = true
	l := &f.limits
	flags := root.Flags()
	flags.SortFlags = false
	flags.StringVar(&f.socket, "socket", "", "listen on `PATH` (default $XDG_RUNTIME_DIR/fstrace/socket, or the socket that systemd passes)")
	flags.DurationVar(&f.idleExit, "idle-exit", 0, "end after `D` without a session or a connection; 0 means never")
	flags.StringVar(&f.drain, "drain", "wait", "`WHAT` SIGTERM does with running commands: wait or cancel; a second SIGTERM cancels them")
	flags.DurationVar(&f.drainTime, "drain-time", time.Hour, "with --drain wait: cancel commands that still run after `D`")
	flags.DurationVar(&f.grace, "grace", 10*time.Second, "send SIGKILL to a cancelled command `D` after SIGTERM")
	flags.IntVar(&l.Sessions, "max-sessions", l.Sessions, "run at most `N` commands at once")
	flags.IntVar(&l.Connections, "max-connections", l.Connections, "serve at most `N` connections at once")
	flags.IntVar(&l.Descriptors, "max-descriptors", l.Descriptors, "accept at most `N` descriptors with a message; the kernel allows 253")
	flags.StringVar(&f.message, "max-message", "8M", "accept messages of at most `SIZE` bytes (K, M, G)")
	flags.StringVar(&f.memory, "max-memory", "512M", "use at most about `SIZE` bytes of memory for messages that are being handled (K, M, G)")
	flags.IntVar(&l.RetainSessions, "retain-sessions", l.RetainSessions, "retain the records of `N` ended sessions")
	flags.DurationVar(&f.retainTime, "retain-time", time.Hour, "retain them for `D`")
	flags.StringVar(&f.spoolBytes, "spool-bytes", "4G", "use at most `SIZE` bytes of disk for records, including running sessions (K, M, G)")
	flags.StringVar(&f.spoolDir, "spool-dir", "/var/tmp", "write records to unnamed files in `DIR`")
	flags.IntSliceVar(&f.allowUIDs, "allow-uid", nil, "also serve user `UID`, with a worker process of that user; requires root; repeatable")
	flags.StringVar(&f.logLevel, "log-level", "info", "log messages of `LEVEL` and above to standard error: debug, info, warn or error")
	flags.StringVar(&f.pprof, "pprof", "", "serve profiles of the daemon at `ADDR`: unix:PATH, or a loopback address and port")
	flags.DurationVar(&f.workerIdle, "worker-idle", 10*time.Minute, "with --allow-uid: end a worker after `D` without a session, a connection or a retained record")
	flags.StringVar(&f.worker, "worker", "", "")
	if err := flags.MarkHidden("worker"); err != nil {
		panic(err) // a flag that does not exist
	}
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error {
		return fmt.Errorf("%w; see fstraced --help", err)
	})
	return root
}

// check reads the flags that are words and sizes.
func (f *flags) check() (slog.Level, error) {
	var level slog.Level
	if err := level.UnmarshalText([]byte(f.logLevel)); err != nil {
		return level, fmt.Errorf("--log-level %q: must be debug, info, warn or error", f.logLevel)
	}
	if f.drain != "wait" && f.drain != "cancel" {
		return level, fmt.Errorf("--drain %q: must be wait or cancel", f.drain)
	}
	for name, n := range map[string]int{
		"max-sessions": f.limits.Sessions, "max-connections": f.limits.Connections, "max-descriptors": f.limits.Descriptors,
	} {
		if n < 1 {
			return level, fmt.Errorf("--%s %d: must be at least 1", name, n)
		}
	}
	if f.limits.RetainSessions < 0 || f.retainTime < 0 || f.idleExit < 0 || f.grace < 0 {
		return level, errors.New("--retain-sessions, --retain-time, --idle-exit, --grace must not be negative")
	}
	if f.drainTime <= 0 || f.workerIdle <= 0 {
		return level, errors.New("--drain-time, --worker-idle must be positive")
	}
	f.limits.RetainSeconds = int64(f.retainTime / time.Second)
	var err error
	if f.limits.SpoolBytes, err = parseSize(f.spoolBytes); err != nil {
		return level, fmt.Errorf("--spool-bytes: %w", err)
	}
	message, err := parseSize(f.message)
	if err != nil || message > 1<<30 {
		return level, fmt.Errorf("--max-message %q: not a size up to 1G", f.message)
	}
	f.limits.MessageBytes = int(message)
	if f.limits.MemoryBytes, err = parseSize(f.memory); err != nil {
		return level, fmt.Errorf("--max-memory: %w", err)
	}
	switch {
	case len(f.allowUIDs) > 0 && os.Geteuid() != 0:
		return level, errors.New("--allow-uid: requires root")
	case len(f.allowUIDs) > 0 && f.idleExit > 0:
		return level, errors.New("--allow-uid, --idle-exit: exclude each other")
	}
	return level, nil
}

// parseSize reads a number of bytes.
func parseSize(s string) (int64, error) {
	shift := map[byte]uint{'K': 10, 'M': 20, 'G': 30}
	digits, unit := s, uint(0)
	if s != "" {
		if n, ok := shift[strings.ToUpper(s)[len(s)-1]]; ok {
			digits, unit = s[:len(s)-1], n
		}
	}
	n, err := strconv.ParseInt(digits, 10, 64)
	if err != nil || n < 1 || n > (1<<62)>>unit {
		return 0, fmt.Errorf("%q is not a size (for example 64M)", s)
	}
	return n << unit, nil
}
