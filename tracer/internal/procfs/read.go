package procfs

import (
	"bytes"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/fstrace/fstrace/tracer/internal/sys"
	"golang.org/x/sys/unix"
)

// What /proc says of a process is read while the process waits: at its birth, at
// an exec, at its first call. So it is done with few system calls and little else,
// where the os package would ask what kind of file it has opened, and more.

// procNameSize is room for most names in /proc, with the NUL.
const procNameSize = 48

// appendProcName appends "/proc/TID/what" and a NUL.
func appendProcName(b []byte, tid int, what string) []byte {
	b = append(b, "/proc/"...)
	b = strconv.AppendInt(b, int64(tid), 10)
	b = append(b, '/')
	b = append(b, what...)
	return append(b, 0)
}

// ReadLink reads the link /proc/PID/what, "" if it may not be read.
func ReadLink(pid int, what string) string {
	var name [procNameSize]byte
	var target [unix.PathMax]byte
	n, errno := sys.Readlinkat(unix.AT_FDCWD, appendProcName(name[:0], pid, what), target[:])
	if errno != 0 {
		return ""
	}
	return string(target[:n])
}

// ReadFile reads the file /proc/TID/what as a whole, into b if it has the room.
func ReadFile(tid int, what string, b []byte) ([]byte, error) {
	var name [procNameSize]byte
	fd, errno := sys.Openat(unix.AT_FDCWD, appendProcName(name[:0], tid, what), unix.O_RDONLY|unix.O_CLOEXEC)
	if errno != 0 {
		return nil, fmt.Errorf("open /proc/%d/%s: %w", tid, what, errno)
	}
	defer unix.Close(fd)
	b, err := ReadAll(fd, b)
	if err != nil {
		return nil, fmt.Errorf("read /proc/%d/%s: %w", tid, what, err)
	}
	return b, nil
}

// ReadAll reads an open file to its end, into b if it has the room.
func ReadAll(fd int, b []byte) ([]byte, error) {
	b = b[:0]
	for {
		if len(b) == cap(b) {
			b = slices.Grow(b, unix.PathMax)
		}
		n, err := unix.Read(fd, b[len(b):cap(b)])
		switch {
		case err == unix.EINTR:
		case err != nil:
			return nil, err
		case n == 0:
			return b, nil
		default:
			b = b[:len(b)+n]
		}
	}
}

// Numbers returns the names in a directory that are numbers: threads or descriptors, in
// the order of the kernel. os.ReadDir makes objects of them, sorts them, and starts the
// Go runtime's poller.
func Numbers(dir string) ([]int, error) {
	fd, err := unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", dir, err)
	}
	defer unix.Close(fd)
	var list []int
	var names []string
	var buf [4 << 10]byte
	for {
		n, err := unix.ReadDirent(fd, buf[:])
		switch {
		case err == unix.EINTR:
			continue
		case err != nil:
			return nil, fmt.Errorf("read %s: %w", dir, err)
		case n <= 0:
			return list, nil
		}
		_, _, names = unix.ParseDirent(buf[:n], -1, names[:0])
		for _, name := range names {
			if number, err := strconv.Atoi(name); err == nil {
				list = append(list, number)
			}
		}
	}
}

// Argv reads /proc/PID/cmdline. It is empty for a process that has overwritten
// its arguments, or has none.
func Argv(pid int) []string {
	var room [unix.PathMax]byte
	data, err := ReadFile(pid, "cmdline", room[:])
	if err != nil || len(data) == 0 {
		return nil
	}
	all := string(bytes.TrimSuffix(data, []byte{0}))
	argv := make([]string, 0, 8)
	for {
		arg, rest, more := strings.Cut(all, "\x00")
		argv = append(argv, arg)
		if !more {
			return argv
		}
		all = rest
	}
}

// FDInfo returns what /proc/PID/fdinfo/FD says under a name, nil if it says nothing:
// proc_pid_fdinfo(5).
func FDInfo(pid, fd int, name string) ([]byte, error) {
	var room [512]byte // enough for most
	data, err := ReadFile(pid, "fdinfo/"+strconv.Itoa(fd), room[:])
	if err != nil {
		return nil, err
	}
	for line := range bytes.Lines(data) {
		if key, value, _ := bytes.Cut(line, []byte(":")); string(key) == name {
			return bytes.Clone(bytes.TrimSpace(value)), nil
		}
	}
	return nil, nil
}
