package tracer

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

// readLink reads the link /proc/PID/what, "" if it may not be read.
func readLink(pid int, what string) string {
	var name [procNameSize]byte
	var target [pathMax]byte
	n, errno := sys.Readlinkat(unix.AT_FDCWD, appendProcName(name[:0], pid, what), target[:])
	if errno != 0 {
		return ""
	}
	return string(target[:n])
}

// readProc reads the file /proc/TID/what as a whole, into b if it has the room.
func readProc(tid int, what string, b []byte) ([]byte, error) {
	var name [procNameSize]byte
	fd, errno := sys.Openat(unix.AT_FDCWD, appendProcName(name[:0], tid, what), unix.O_RDONLY|unix.O_CLOEXEC)
	if errno != 0 {
		return nil, fmt.Errorf("open /proc/%d/%s: %w", tid, what, errno)
	}
	defer unix.Close(fd)
	b, err := readAll(fd, b)
	if err != nil {
		return nil, fmt.Errorf("read /proc/%d/%s: %w", tid, what, err)
	}
	return b, nil
}

// readAll reads an open file to its end, into b if it has the room.
func readAll(fd int, b []byte) ([]byte, error) {
	b = b[:0]
	for {
		if len(b) == cap(b) {
			b = slices.Grow(b, pathMax)
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

// readArgv reads /proc/PID/cmdline. It is empty for a process that has overwritten
// its arguments, or has none.
func readArgv(pid int) []string {
	var room [pathMax]byte
	data, err := readProc(pid, "cmdline", room[:])
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

// status is what /proc/TID/status says of a thread's kin.
type status struct {
	tgid, ppid         int
	innerPID, innerTID int // the ids in the thread's own pid namespace
	zombie             bool
	alone              bool // no other thread of its process is left
}

// readStatus reads /proc/TID/status: proc(5).
func readStatus(tid int) (s status, err error) {
	var room [pathMax]byte
	data, err := readProc(tid, "status", room[:])
	if err != nil {
		return s, err
	}
	for line := range bytes.Lines(data) {
		key, value, _ := bytes.Cut(line, []byte(":"))
		value = bytes.TrimSpace(value)
		switch string(key) {
		case "State":
			s.zombie = bytes.HasPrefix(value, []byte("Z"))
		case "Threads":
			s.alone = string(value) == "1"
		case "Tgid":
			s.tgid, err = lastNumber(value)
		case "PPid":
			s.ppid, err = lastNumber(value)
		case "NStgid":
			s.innerPID, err = lastNumber(value)
		case "NSpid":
			s.innerTID, err = lastNumber(value)
		}
		if err != nil {
			return status{}, fmt.Errorf("read /proc/%d/status: %w", tid, err)
		}
	}
	return s, nil
}

// lastNumber returns the last of some numbers: of those that namespaces have for a
// process, the innermost one's.
func lastNumber(list []byte) (int, error) {
	return strconv.Atoi(string(list[bytes.LastIndexAny(list, " \t")+1:]))
}

// readZombie returns the wait status of a process that has ended and is not yet
// reaped: the last field of /proc/PID/stat, 0 for those who may not know it.
func readZombie(pid int) (unix.WaitStatus, bool) {
	var room [pathMax]byte
	data, err := readProc(pid, "stat", room[:])
	if err != nil {
		return 0, false
	}
	// The second field, a name in parentheses, may hold anything.
	fields := bytes.Fields(data[bytes.LastIndexByte(data, ')')+1:])
	if len(fields) < 2 || string(fields[0]) != "Z" {
		return 0, false
	}
	ws, err := strconv.Atoi(string(fields[len(fields)-1]))
	return unix.WaitStatus(ws), err == nil
}
