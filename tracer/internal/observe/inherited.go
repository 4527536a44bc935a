package observe

import (
	"slices"
	"strconv"
	"time"

	"github.com/fstrace/fstrace/events"
	"github.com/fstrace/fstrace/tracer/internal/procfs"
	"github.com/fstrace/fstrace/tracer/internal/resolve"
	"github.com/fstrace/fstrace/tracer/internal/syscalls"
	"golang.org/x/sys/unix"
)

// Descriptors returns the descriptors that a process starts with, and an access for
// each that leads to a regular file. Those that are close-on-exec are not its own.
func Descriptors(pid int) (list []events.Descriptor, files []Access, err error) {
	fds, err := procfs.Numbers("/proc/" + strconv.Itoa(pid) + "/fd")
	if err != nil {
		return nil, nil, err
	}
	var p procfs.Reader
	defer p.Dirs.Close()
	for _, fd := range fds {
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
			files = append(files, Access{
				time: time.Now(), pid: pid, TID: pid, flags: flags, hasFlags: true,
				op:    syscalls.OpenOp(flags, events.StateFile),
				First: resolve.Result{Set: true, Path: d.Path, State: events.StateFile, Info: info},
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

// descriptorFlags reads the flags of an open file.
func descriptorFlags(pid, fd int) (flags uint64, ok bool) {
	text, err := procfs.FDInfo(pid, fd, "flags")
	if err != nil {
		return 0, false
	}
	flags, err = strconv.ParseUint(string(text), 8, 64)
	return flags, err == nil
}
