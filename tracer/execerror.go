package tracer

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// Errors of [Cmd.Start], for use with errors.Is.
var (
	// ErrNotFound means that the command does not exist (exit status 127).
	ErrNotFound = errors.New("command not found")
	// ErrNotExecutable means that it exists and cannot be executed (exit status 126).
	ErrNotExecutable = errors.New("cannot execute")
)

// Exit statuses of commands that could not be executed, as shells have them.
const (
	exitNotExecutable = 126
	exitNotFound      = 127
)

// An ExecError reports that the command could not be executed. It unwraps to
// [ErrNotFound] or [ErrNotExecutable], and to Errno.
type ExecError struct {
	Path  string     // of the Cmd
	Errno unix.Errno // of execve(2)
	kind  error
	hint  string
}

// newExecError distinguishes a command that does not exist from one that cannot be
// executed. If the path exists although execve returned ENOENT, the interpreter is
// missing.
func newExecError(c *Cmd, errno unix.Errno) *ExecError {
	e := &ExecError{Path: c.Path, Errno: errno, kind: ErrNotExecutable}
	if errno != unix.ENOENT && errno != unix.ENOTDIR {
		return e
	}
	name := c.Path
	if !filepath.IsAbs(name) {
		name = filepath.Join(c.Dir, name)
	}
	if _, err := os.Stat(name); err == nil && strings.Contains(c.Path, "/") {
		e.hint = "its interpreter is missing"
		return e
	}
	e.kind = ErrNotFound
	return e
}

func (e *ExecError) Error() string {
	s := fmt.Sprintf("%s: %v: %v", e.Path, e.kind, e.Errno)
	if e.hint != "" {
		s += " (" + e.hint + ")"
	}
	return s
}

// Unwrap returns the errors to which errors.Is compares.
func (e *ExecError) Unwrap() []error { return []error{e.kind, e.Errno} }

// ExitStatus returns the exit status of a shell in this case: 126 or 127.
func (e *ExecError) ExitStatus() int {
	if e.kind == ErrNotFound {
		return exitNotFound
	}
	return exitNotExecutable
}
