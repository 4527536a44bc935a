package shim

import (
	"fmt"
	"slices"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// Name is what a shim is executed under, its argv[0]: for those who look at processes,
// and for fstrace_entry.
const Name = "fstrace-shim"

// RuntimeSettings returns the environment of a helper process that is a Go program: no
// garbage collection, one processor, and no signals of the runtime's own.
func RuntimeSettings() []string {
	return []string{"GOGC=off", "GOMAXPROCS=1", "GODEBUG=asyncpreemptoff=1"}
}

// ForkExec starts a shim. Its socket is the last of the files, by its number there.
func ForkExec(attr *syscall.ProcAttr) (pid int, err error) {
	argv := []string{Name, strconv.Itoa(len(attr.Files) - 1)}
	attr.Env = []string{} // nil is this process's
	if SignalsKept() {
		return syscall.ForkExec("/proc/self/exe", argv, attr)
	}
	fd, err := stubFile()
	if err != nil {
		return 0, err
	}
	defer unix.Close(fd)
	// In the child, until its exec, the file must not collide with the others, nor with
	// the numbers that syscall.ForkExec uses while it arranges them: some above the
	// highest.
	number := int(slices.Max(opened(attr.Files))) + 2*len(attr.Files) + 8
	executable, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, number)
	if err != nil {
		return 0, fmt.Errorf("duplicate descriptor %d: %w", fd, err)
	}
	defer unix.Close(executable)
	return syscall.ForkExec("/proc/self/fd/"+strconv.Itoa(executable), argv, attr)
}

// opened returns those of a child's files that are not closed.
func opened(files []uintptr) []uintptr {
	return slices.DeleteFunc(slices.Clone(files), func(fd uintptr) bool { return fd == ^uintptr(0) })
}
