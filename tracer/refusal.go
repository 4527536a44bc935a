package tracer

import (
	"errors"
	"fmt"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// A LaunchError is the error of [Cmd.Start] if the command's process existed and could
// not become the command. The process has been ended, also one that was adopted. Err is
// the reason.
type LaunchError struct{ Err error }

func (e *LaunchError) Error() string { return e.Err.Error() }

// Unwrap returns the cause.
func (e *LaunchError) Unwrap() error { return e.Err }

// CheckProc returns an error if /proc cannot be used: if it is not mounted, or belongs to
// another pid namespace, where the same number means another process.
func CheckProc() error {
	shown, err := os.Readlink("/proc/self")
	switch {
	case errors.Is(err, unix.ENOENT):
		return errors.New("/proc is not there, or is a procfs of another pid namespace: mount one of this pid namespace (mount -t proc proc /proc)")
	case err != nil:
		return fmt.Errorf("/proc cannot be used: %w", err)
	case shown != strconv.Itoa(os.Getpid()):
		return fmt.Errorf("/proc is a procfs of another pid namespace: this process is %d, and %s there: mount one of this pid namespace (mount -t proc proc /proc)", os.Getpid(), shown)
	}
	return nil
}

// cannotFollow explains why ptrace could not seize the command's process.
func cannotFollow(err error) error {
	if errors.Is(err, unix.EPERM) || errors.Is(err, unix.ENOSYS) || errors.Is(err, unix.EACCES) {
		return fmt.Errorf("follow the command's processes: %w (Yama, a sandbox or another tracer forbids ptrace; the lifecycle \"notify\" does not need it)", err)
	}
	return fmt.Errorf("follow the command's processes: %w", err)
}
