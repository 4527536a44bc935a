package tracer

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// Errors of Start, for errors.Is.
var (
	// ErrNotFound: there is no such command (exit status 127).
	ErrNotFound = errors.New("command not found")
	// ErrNotExecutable: there is one that cannot be executed (exit status 126).
	ErrNotExecutable = errors.New("cannot execute")
)

// Exit statuses of commands that could not be executed, as shells have them.
const (
	exitNotExecutable = 126
	exitNotFound      = 127
)

// An ExecError says that the command could not be executed. It unwraps to
// ErrNotFound or ErrNotExecutable, and to the kernel's error number.
type ExecError struct {
	Path  string
	Errno unix.Errno
	kind  error
	hint  string
}

// newExecError tells a command that is not there from one that cannot be
// executed. A path that is there although the kernel says ENOENT is a program
// whose interpreter is missing.
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

// Unwrap returns what errors.Is compares with.
func (e *ExecError) Unwrap() []error { return []error{e.kind, e.Errno} }

// ExitStatus is what a shell would exit with: 126 or 127.
func (e *ExecError) ExitStatus() int {
	if e.kind == ErrNotFound {
		return exitNotFound
	}
	return exitNotExecutable
}
