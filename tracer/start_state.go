package tracer

import (
	"bytes"
	"errors"
	"os"
	"slices"
	"strconv"
	"time"

	"github.com/fstrace/fstrace/events"
	"github.com/fstrace/fstrace/tracer/internal/syscalls"
	"golang.org/x/sys/unix"
)

// startState returns what the command's process starts with, and an access for each
// regular file among its descriptors: no call names those (cmd < file). It is called
// while the shim waits.
func (s *session) startState(pid int) (*events.ProcessState, []access) {
	state := &events.ProcessState{Env: s.cmd.Env}
	var err error
	if state.UID, state.GID, state.Umask, err = readIdentity(pid); err != nil {
		s.missStart(pid, err)
		return nil, nil
	}
	if s.cmd.Umask != nil {
		state.Umask = uint32(*s.cmd.Umask)
	}
	var files []access
	if state.Descriptors, files, err = startDescriptors(pid); err != nil {
		s.missStart(pid, err)
		return nil, nil
	}
	return state, files
}

// missStart notes that it is not known what the command's process starts with. One that
// has been killed meanwhile starts with nothing.
func (s *session) missStart(pid int, err error) {
	if !errors.Is(err, unix.ENOENT) && !errors.Is(err, unix.ESRCH) {
		s.gaps.add(events.ReasonOpaqueProcess, pid, "what it starts with may not be read: "+err.Error())
	}
}

// startDescriptors returns the descriptors that a process starts with, and an access for
// each that leads to a regular file. Those that are close-on-exec are not its own.
func startDescriptors(pid int) (list []events.Descriptor, files []access, err error) {
	entries, err := os.ReadDir("/proc/" + strconv.Itoa(pid) + "/fd")
	if err != nil {
		return nil, nil, err
	}
	var p procfs
	defer p.dirs.close()
	for _, entry := range entries {
		fd, err := strconv.Atoi(entry.Name())
		if err != nil {
			continue
		}
		mode, err := p.mode(pid, fd, "")
		if err != nil {
			continue
		}
		info := infoOf(&p.stat)
		rdev := p.stat.Rdev
		flags, ok := descriptorFlags(pid, fd)
		if !ok || flags&unix.O_CLOEXEC != 0 {
			continue
		}
		d := events.Descriptor{FD: fd, Kind: descriptorKind(mode, rdev), Write: flags&unix.O_ACCMODE != unix.O_RDONLY}
		if file, err := p.fd(pid, fd); err == nil {
			d.Path = file.path
		}
		if d.Kind == events.DescriptorFile && d.Path != "" {
			files = append(files, access{
				time: time.Now(), pid: pid, tid: pid, flags: flags, hasFlags: true,
				op:    syscalls.OpenOp(flags, events.StateFile),
				first: resolved{set: true, path: d.Path, state: events.StateFile, info: info},
			})
		}
		if d.Kind == events.DescriptorPipe || d.Kind == events.DescriptorSocket {
			d.Path = "" // it has none
		}
		list = append(list, d)
	}
	slices.SortFunc(list, func(a, b events.Descriptor) int { return a.FD - b.FD })
	return list, files, nil
}

// descriptorKind says what a descriptor of that type and device number leads to.
func descriptorKind(mode uint32, rdev uint64) events.DescriptorKind {
	const (
		memory = 1 // major device numbers
		null   = 3 // minor ones
		// Terminals: /dev/ttyN and /dev/tty; pseudo-terminals' slaves.
		tty, ttyAux, ptsFirst, ptsLast = 4, 5, 136, 143
	)
	switch mode & unix.S_IFMT {
	case unix.S_IFREG:
		return events.DescriptorFile
	case unix.S_IFDIR:
		return events.DescriptorDir
	case unix.S_IFIFO:
		return events.DescriptorPipe
	case unix.S_IFSOCK:
		return events.DescriptorSocket
	case unix.S_IFCHR:
		switch major := unix.Major(rdev); {
		case major == memory && unix.Minor(rdev) == null:
			return events.DescriptorNull
		case major == tty, major == ttyAux, major >= ptsFirst && major <= ptsLast:
			return events.DescriptorTerminal
		}
	}
	return events.DescriptorOther
}

// readIdentity reads a process's effective ids and its umask: proc(5). The umask is
// there since Linux 4.7.
func readIdentity(pid int) (uid, gid, umask uint32, err error) {
	data, err := readProc(pid, "status", nil)
	if err != nil {
		return 0, 0, 0, err
	}
	field := func(line []byte, name string, n, base int) (uint32, bool) {
		value, found := bytes.CutPrefix(line, []byte(name))
		fields := bytes.Fields(value)
		if !found || len(fields) <= n {
			return 0, false
		}
		number, err := strconv.ParseUint(string(fields[n]), base, 32)
		return uint32(number), err == nil
	}
	const effective = 1 // of real, effective, saved, file system
	for line := range bytes.Lines(data) {
		if v, ok := field(line, "Uid:", effective, 10); ok {
			uid = v
		} else if v, ok := field(line, "Gid:", effective, 10); ok {
			gid = v
		} else if v, ok := field(line, "Umask:", 0, 8); ok {
			umask = v
		}
	}
	return uid, gid, umask, nil
}
