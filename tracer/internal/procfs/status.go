package procfs

import (
	"bytes"
	"fmt"
	"strconv"

	"golang.org/x/sys/unix"
)

// A Status is what /proc/TID/status says of a thread and its process:
// proc_pid_status(5).
type Status struct {
	TGID, PPID         int
	InnerPID, InnerTID int // the ids in the thread's own pid namespace
	Zombie             bool
	Alone              bool   // no other thread of its process is left
	UIDs, GIDs         [4]int // real, effective, saved, file system
	Umask              int    // 0 before Linux 4.7
	Capable            bool   // it has an effective capability
	Filtered           bool   // it has a seccomp filter
	Pending            uint64 // signals that wait for the process; bit n-1 stands for signal n
	Ignored, Caught    uint64 // signals that it ignores, and handles
	Blocked            uint64 // signals that the thread blocks
	Filters            int    // how many seccomp filters it has; 0 before Linux 5.9
}

// ReadStatus reads the status of a thread.
func ReadStatus(tid int) (s Status, err error) {
	var room [pathMax]byte
	data, err := ReadFile(tid, "status", room[:])
	if err != nil {
		return s, err
	}
	for line := range bytes.Lines(data) {
		key, value, _ := bytes.Cut(line, []byte(":"))
		value = bytes.TrimSpace(value)
		switch string(key) {
		case "State":
			s.Zombie = bytes.HasPrefix(value, []byte("Z"))
		case "Threads":
			s.Alone = string(value) == "1"
		case "Tgid":
			s.TGID, err = lastNumber(value)
		case "PPid":
			s.PPID, err = lastNumber(value)
		case "NStgid":
			s.InnerPID, err = lastNumber(value)
		case "NSpid":
			s.InnerTID, err = lastNumber(value)
		case "Uid":
			s.UIDs, err = fourNumbers(value)
		case "Gid":
			s.GIDs, err = fourNumbers(value)
		case "Umask":
			var mask uint64
			mask, err = strconv.ParseUint(string(value), 8, 32)
			s.Umask = int(mask)
		case "CapEff":
			s.Capable = len(bytes.Trim(value, "0")) > 0
		case "Seccomp":
			s.Filtered = string(value) == "2"
		case "ShdPnd":
			s.Pending, err = strconv.ParseUint(string(value), 16, 64)
		case "SigBlk":
			s.Blocked, err = strconv.ParseUint(string(value), 16, 64)
		case "Seccomp_filters":
			s.Filters, err = strconv.Atoi(string(value))
		case "SigIgn":
			s.Ignored, err = strconv.ParseUint(string(value), 16, 64)
		case "SigCgt":
			s.Caught, err = strconv.ParseUint(string(value), 16, 64)
		}
		if err != nil {
			return Status{}, fmt.Errorf("read /proc/%d/status: %w", tid, err)
		}
	}
	return s, nil
}

// lastNumber returns the last of some numbers: of those that namespaces have for a
// process, the innermost one's.
func lastNumber(list []byte) (int, error) {
	return strconv.Atoi(string(list[bytes.LastIndexAny(list, " \t")+1:]))
}

func fourNumbers(list []byte) (n [4]int, err error) {
	for i := range n {
		field, rest, _ := bytes.Cut(list, []byte("\t"))
		if n[i], err = strconv.Atoi(string(field)); err != nil {
			return n, err
		}
		list = rest
	}
	return n, nil
}

// readStat returns the fields of /proc/PID/stat behind the name, which may hold anything:
// proc_pid_stat(5). The first is the state.
func readStat(pid int, room []byte) ([]byte, error) {
	data, err := ReadFile(pid, "stat", room)
	if err != nil {
		return nil, err
	}
	return bytes.TrimSpace(data[bytes.LastIndexByte(data, ')')+1:]), nil
}

// State returns the state of a process as a letter, 'R' say, and 0 if it is gone.
func State(pid int) byte {
	var room [pathMax]byte
	fields, err := readStat(pid, room[:])
	if err != nil || len(fields) == 0 {
		return 0
	}
	return fields[0]
}

// Stopped reports whether a process is stopped, by a signal or by its tracer.
func Stopped(pid int) bool {
	state := State(pid)
	return state == 'T' || state == 't'
}

// Zombie returns the wait status of a process that has ended and is not yet
// reaped: the last field of its stat, 0 for those who may not know it.
func Zombie(pid int) (unix.WaitStatus, bool) {
	var room [pathMax]byte
	data, err := readStat(pid, room[:])
	if err != nil {
		return 0, false
	}
	fields := bytes.Fields(data)
	if len(fields) < 2 || string(fields[0]) != "Z" {
		return 0, false
	}
	ws, err := strconv.Atoi(string(fields[len(fields)-1]))
	return unix.WaitStatus(ws), err == nil
}

// Began returns when a process began, in ticks of the clock since the boot; -1 if it is
// gone.
func Began(pid int) int64 {
	const startTime = 22 - 3 // the first field is the third of all
	var room [pathMax]byte
	data, err := readStat(pid, room[:])
	if err != nil {
		return -1
	}
	fields := bytes.Fields(data)
	if len(fields) <= startTime {
		return -1
	}
	ticks, err := strconv.ParseInt(string(fields[startTime]), 10, 64)
	if err != nil {
		return -1
	}
	return ticks
}
