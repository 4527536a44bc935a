package main

import (
	"cmp"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/fstrace/fstrace/cmd/internal/commandline"
	"golang.org/x/sys/unix"
)

// An output is where the record goes. It is opened before the command starts,
// so that a path that cannot be written is found in time, and committed when
// the record is whole.
//
// A regular file is written without a name (O_TMPFILE, Linux 3.11) in the
// directory that it belongs to, and takes the name when it is committed: the
// command does not find it, no reader sees half of it, and if fstrace is
// killed nothing is left behind. Where a file system has no such files, a hidden
// one with a name does. Everything else, a pipe or /dev/null, is written to
// directly.
type output struct {
	name string // as given, for messages
	file *os.File

	// For a regular file only.
	dir  int    // its directory, open: a rename in the meantime does not redirect the record
	base string // its name there
	temp string // what the file is called until then; "" if it has no name
}

// dirNone is the dir of an output that is no regular file.
const dirNone = -1

// opensAtOnce reports whether to open a record's file takes no longer than it takes the
// file system: who opens a FIFO waits for its reader.
func opensAtOnce(name string) bool {
	if name == "" || name == "-" || name == os.DevNull {
		return true
	}
	info, err := os.Stat(name)
	return errors.Is(err, os.ErrNotExist) || err == nil && info.Mode().IsRegular()
}

// openOutput opens the file called name: standard error if that is empty,
// standard output if it is "-".
func openOutput(name string) (*output, error) {
	switch name {
	case "":
		return &output{name: "standard error", file: os.Stderr, dir: dirNone}, nil
	case "-":
		return &output{name: "standard output", file: os.Stdout, dir: dirNone}, nil
	}
	o := &output{name: name, dir: dirNone}
	if err := o.open(); err != nil {
		return nil, fmt.Errorf("open record %s: %w", name, err)
	}
	return o, nil
}

// open finds out what is at o.name. A symbolic link is followed by hand: what it
// points to is replaced, not the link, and need not be there yet.
func (o *output) open() error {
	path := o.name
	for range 40 { // the kernel's limit: path_resolution(7)
		if fd, ok := descriptorPath(path); ok {
			return o.duplicate(fd)
		}
		info, err := os.Lstat(path)
		switch {
		case errors.Is(err, unix.ENOENT):
			return o.create(path, nil)
		case err != nil:
			return commandline.Cause(err)
		case info.Mode().IsRegular():
			return o.create(path, info)
		case info.Mode()&os.ModeSymlink == 0:
			return o.direct(path)
		}
		// The links of /proc do not hold the path that they lead to.
		if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() {
			return o.direct(path)
		}
		target, err := os.Readlink(path)
		if err != nil {
			return commandline.Cause(err)
		}
		if !filepath.IsAbs(target) {
			dir, _ := filepath.Split(path)
			target = dir + target // not cleaned: in "x/.." x may be a link
		}
		path = target
	}
	return unix.ELOOP
}

// descriptorPath reports whether path names an open descriptor of this process. Such a
// name looks like a symbolic link to the file that is open there, but a shell that was
// with `3>file` means the descriptor, its offset included.
func descriptorPath(path string) (int, bool) {
	switch path {
	case "/dev/stdout":
		return 1, true
	case "/dev/stderr":
		return 2, true
	}
	for _, dir := range []string{"/dev/fd/", "/proc/self/fd/"} {
		if digits, ok := strings.CutPrefix(path, dir); ok {
			fd, err := strconv.Atoi(digits)
			return fd, err == nil && fd >= 0
		}
	}
	return 0, false
}

// duplicate has o write to a descriptor that this process was started with. All
// that it opened itself, the runtime's own included, is close-on-exec.
func (o *output) duplicate(fd int) error {
	flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0)
	if err == nil && flags&unix.FD_CLOEXEC != 0 {
		err = unix.EBADF
	}
	if err != nil {
		return err
	}
	dup, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 3)
	if err != nil {
		return err
	}
	o.file = os.NewFile(uintptr(dup), o.name)
	return nil
}

// direct opens what is no regular file. A FIFO waits for its reader, as it does
// in a shell.
func (o *output) direct(path string) error {
	file, err := os.OpenFile(path, os.O_WRONLY|unix.O_NOCTTY, 0)
	o.file = file
	return commandline.Cause(err)
}

// create makes the file that will be at path; old is what is there now, or nil.
func (o *output) create(path string, old os.FileInfo) error {
	dir, base := filepath.Split(path)
	if base == "" { // nothing there, and a "/" after it: only mkdir(2) could make that
		return unix.EISDIR
	}
	o.base = base
	fd, err := ignoringEINTR(func() (int, error) {
		return unix.Open(cmp.Or(dir, "."), unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	})
	if err != nil {
		return err
	}
	o.dir = fd
	if err = o.createUnnamed(); err != nil {
		err = o.createNamed()
	}
	if err == nil && old != nil {
		err = commandline.Cause(o.file.Chmod(old.Mode().Perm()))
	}
	if err != nil {
		o.abort()
	}
	return err
}

// createUnnamed fails where the file system has no unnamed files (EOPNOTSUPP,
// or EISDIR and the like from those that never heard of them), or they could not
// be named later without /proc.
func (o *output) createUnnamed() error {
	fd, err := ignoringEINTR(func() (int, error) {
		return unix.Openat(o.dir, ".", unix.O_TMPFILE|unix.O_WRONLY|unix.O_CLOEXEC, 0o666)
	})
	if err != nil {
		return err
	}
	if err := unix.Access(procPath(fd), unix.F_OK); err != nil {
		unix.Close(fd)
		return err
	}
	o.file = os.NewFile(uintptr(fd), o.name)
	return nil
}

func (o *output) createNamed() error {
	return o.withTempName(func(temp string) error {
		fd, err := ignoringEINTR(func() (int, error) {
			return unix.Openat(o.dir, temp, unix.O_CREAT|unix.O_EXCL|unix.O_WRONLY|unix.O_CLOEXEC, 0o666)
		})
		if err == nil {
			o.file = os.NewFile(uintptr(fd), o.name)
		}
		return err
	})
}

// withTempName calls try with names until one is free, which is then o.temp.
func (o *output) withTempName(try func(temp string) error) error {
	const room = unix.NAME_MAX - len("..fstrace-") - 16
	base := o.base[:min(len(o.base), room)]
	for {
		temp := fmt.Sprintf(".%s.fstrace-%016x", base, rand.Uint64())
		err := try(temp)
		if err == nil {
			o.temp = temp
		}
		if err != unix.EEXIST {
			return err
		}
	}
}

// Write writes to the record.
func (o *output) Write(b []byte) (int, error) {
	n, err := o.file.Write(b)
	if err != nil {
		err = fmt.Errorf("write record %s: %w", o.name, commandline.Cause(err))
	}
	return n, err
}

// commit gives the record its name: from now on it is there, whole.
func (o *output) commit() error {
	if o.isStandard() {
		return nil
	}
	defer o.abort() // what is left of it
	if err := o.publish(); err != nil {
		return fmt.Errorf("write record %s: %w", o.name, err)
	}
	return nil
}

func (o *output) publish() error {
	if o.dir != dirNone && o.temp == "" {
		// There is no rename of an unnamed file, and a link replaces nothing.
		err := o.withTempName(func(temp string) error {
			return unix.Linkat(unix.AT_FDCWD, procPath(int(o.file.Fd())), o.dir, temp, unix.AT_SYMLINK_FOLLOW)
		})
		if err != nil {
			return err
		}
	}
	// Some file systems report only now that a write failed: close(2).
	if err := o.file.Close(); err != nil {
		return commandline.Cause(err)
	}
	if o.dir == dirNone {
		return nil
	}
	if err := unix.Renameat(o.dir, o.temp, o.dir, o.base); err != nil {
		return err
	}
	o.temp = ""
	return nil
}

// abort leaves what was there as it was. After commit it does nothing.
func (o *output) abort() {
	if o.isStandard() {
		return
	}
	if o.file != nil {
		o.file.Close()
	}
	if o.dir == dirNone {
		return
	}
	if o.temp != "" {
		_ = unix.Unlinkat(o.dir, o.temp, 0)
		o.temp = ""
	}
	unix.Close(o.dir)
	o.dir = dirNone
}

// isStdout reports whether the record goes to this process's own standard output.
func (o *output) isStdout() bool { return o.file == os.Stdout }

func (o *output) isStandard() bool { return o.file == os.Stdout || o.file == os.Stderr }

func procPath(fd int) string { return fmt.Sprintf("/proc/self/fd/%d", fd) }

// ignoringEINTR calls open again if a signal came first, as package os does.
func ignoringEINTR(open func() (int, error)) (int, error) {
	for {
		fd, err := open()
		if err != unix.EINTR {
			return fd, err
		}
	}
}
