package observe

import (
	"fmt"
	"slices"
	"time"

	"github.com/fstrace/fstrace/events"
	"github.com/fstrace/fstrace/tracer/internal/resolve"
	"golang.org/x/sys/unix"
)

// With binfmt_misc the kernel runs an interpreter for files that it knows by their first
// bytes or by their name's extension: Documentation/admin-guide/binfmt-misc.rst. No call
// names the interpreter, and the list of formats cannot be read everywhere: a container
// has the formats of its host. But a process shows what it runs, /proc/PID/exe. If that
// is not what its exec named, nor the interpreter of a "#!" line, it is such an
// interpreter, and its arguments show how the kernel found it:
//
//	INTERPRETER PROGRAM ARGUMENT...
//	SHELL INTERPRETER PROGRAM ARGUMENT...    the interpreter is a script itself

// An Image is the file that a process is to run.
type Image struct {
	path     string
	dev, ino uint64
	as       string // what the exec call named it, or the script that it is the interpreter of
}

// Interpreter emits accesses to the interpreter that the kernel has chosen for a process
// which has just executed something, if it has chosen one. The process must not run on
// meanwhile, or its first call must be waiting. Named is what its exec named; exe and
// argv are what it runs now.
func Interpreter(named Image, pid int, exe string, argv []string, incomplete func(events.Reason, int, string), emit func(*events.Event)) {
	if named.path == "" || exe == named.path {
		return
	}
	dev, ino, err := programInode(pid)
	if err != nil {
		return // it is gone, or may not be looked at, of which the exec's own look tells
	}
	if dev == named.dev && ino == named.ino {
		return // by another name
	}
	r := resolve.ForHost()
	v := resolve.View{Root: "/", PID: pid, TID: pid}
	found := false
	tell := func(path string) (f resolve.Result, ok bool) {
		if path == "" || path[0] != '/' {
			return f, false
		}
		f = r.Resolve(&v, resolve.Base{}, []byte(path), resolve.Follow)
		return f, f.State == events.StateFile
	}
	runs := func(f *resolve.Result) bool { return f.Info.Dev == dev && f.Info.Ino == ino }
	accessed := func(f *resolve.Result) {
		found = found || runs(f)
		emit(&events.Event{
			Time: time.Now(), PID: pid, TID: pid, Op: events.OpExec, Syscall: "execve",
			Path: f.Path, As: given(*f), State: f.State, Real: f.Real, Links: f.Links, Left: f.Left, Info: f.Info,
		})
	}
	for _, path := range scriptsBefore(argv, named.as) {
		if f, ok := tell(path); ok {
			accessed(&f)
		}
	}
	if len(argv) > 0 {
		if f, ok := tell(argv[0]); ok && runs(&f) {
			accessed(&f)
		}
	}
	if f, ok := tell(exe); !found && ok && runs(&f) {
		accessed(&f)
	}
	if !found {
		incomplete(events.ReasonUnresolvedPath, pid,
			fmt.Sprintf("the kernel runs %s by an interpreter that has no name here: %s", named.path, exe))
		return
	}
	loader, _, err := readInterpreter(fmt.Sprintf("/proc/%d/exe", pid))
	if err != nil {
		incomplete(events.ReasonOpaqueProcess, pid, fmt.Sprintf("its interpreter %s may not be read: %v", exe, err))
		return
	}
	if f, ok := tell(string(loader)); ok {
		accessed(&f)
	}
}

// programInode identifies the file that a process runs. It does not ask a file system's
// server: that may be waiting for this process's tracer.
func programInode(pid int) (dev, ino uint64, err error) {
	var st unix.Statx_t
	err = unix.Statx(unix.AT_FDCWD, fmt.Sprintf("/proc/%d/exe", pid), unix.AT_STATX_DONT_SYNC, unix.STATX_INO, &st)
	return unix.Mkdev(st.Dev_major, st.Dev_minor), st.Ino, err
}

// scriptsBefore returns the arguments between the first one and the program, the
// interpreter among them if it is a script.
func scriptsBefore(argv []string, program string) []string {
	const most = 2 // a shell's own argument, and the script
	i := slices.Index(argv[:min(len(argv), 2+most)], program)
	if i < 2 {
		return nil
	}
	return argv[1:i]
}
