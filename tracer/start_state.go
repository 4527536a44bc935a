package tracer

import (
	"errors"
	"os"
	"slices"
	"strconv"
	"time"

	"github.com/fstrace/fstrace/events"
	"github.com/fstrace/fstrace/tracer/internal/procfs"
	"github.com/fstrace/fstrace/tracer/internal/resolve"
	"github.com/fstrace/fstrace/tracer/internal/syscalls"
	"golang.org/x/sys/unix"
)

// startState returns what the command's process starts with, and an access for each
// regular file among its descriptors: no call names those (cmd < file). It is called
// while the shim waits.
func (s *session) startState(pid int) (*events.ProcessState, []access) {
	state := &events.ProcessState{Env: s.cmd.Env}
	st, err := procfs.ReadStatus(pid)
	if err != nil {
		s.missStart(pid, err)
		return nil, nil
	}
	const effective = 1
	state.UID, state.GID, state.Umask = uint32(st.UIDs[effective]), uint32(st.GIDs[effective]), uint32(st.Umask)
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
	var p procfs.Reader
	defer p.Dirs.Close()
	for _, entry := range entries {
		fd, err := strconv.Atoi(entry.Name())
		if err != nil {
			continue
		}
		mode, err := p.Mode(pid, fd, "")
		if err != nil {
			continue
		}
		info := resolve.InfoOf(&p.Stat)
		rdev := p.Stat.Rdev
		flags, ok := descriptorFlags(pid, fd)
		if !ok || flags&unix.O_CLOEXEC != 0 {
			continue
		}
		d := events.Descriptor{FD: fd, Kind: descriptorKind(mode, rdev), Write: flags&unix.O_ACCMODE != unix.O_RDONLY}
		if file, err := p.Descriptor(pid, fd); err == nil {
			d.Path = file.Path
		}
		if d.Kind == events.DescriptorFile && d.Path != "" {
			files = append(files, access{
				time: time.Now(), pid: pid, tid: pid, flags: flags, hasFlags: true,
				op:    syscalls.OpenOp(flags, events.StateFile),
				first: resolve.Result{Set: true, Path: d.Path, State: events.StateFile, Info: info},
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
