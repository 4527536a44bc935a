package tracer

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/fstrace/fstrace/events"
	"github.com/fstrace/fstrace/tracer/internal/procfs"
	"github.com/fstrace/fstrace/tracer/internal/resolve"
	"github.com/fstrace/fstrace/tracer/internal/sys"
	"github.com/fstrace/fstrace/tracer/internal/syscalls"
	"golang.org/x/sys/unix"
)

// exec reads execve and execveat: the program, and the interpreters that the
// kernel will open with it.
func (o *observer) exec(c *call, v *resolve.View, a *access) error {
	var err error
	if a.first, err = o.lookup(c, v, c.row.First, a.flags, false); err != nil {
		return err
	}
	program := a.first
	name := o.nameFor(c, v, &program)
	for range maxInterpreters + 1 {
		if program.State != events.StateFile || program.Info.Mode&0o111 == 0 {
			return nil // the kernel says ENOENT, EACCES
		}
		a.running = imageFile{program.End(), program.Info.Dev, program.Info.Ino, a.first.As}
		path, script, err := o.programs.interpreter(name, &program.Info, o.resolver.Now, o.resolver)
		if errors.Is(err, procfs.ErrUnanswered) {
			return nil
		}
		if err != nil && !errors.Is(err, errNotProgram) {
			o.gaps.add(events.ReasonOpaqueProcess, c.proc.pid,
				fmt.Sprintf("its program %s may not be read: interpreters unknown", program.Path))
			return nil
		}
		if len(path) == 0 {
			return nil
		}
		if program, err = o.resolve(c, v, syscalls.FromCwd, path, resolve.Follow); err != nil {
			return err
		}
		a.interpreters = append(a.interpreters, program)
		if !script {
			return nil
		}
		name = program.OpenName()
	}
	return nil
}

// nameFor returns a path by which fstrace can open what an exec names.
func (o *observer) nameFor(c *call, v *resolve.View, r *resolve.Result) string {
	if r.As == "" && c.row.First.Dir != syscalls.None { // by descriptor: it may have no name any more
		return string(sys.TrimNUL(o.procfs.DescriptorName(c.tid, int(int32(c.arg(c.row.First.Dir))))))
	}
	return r.OpenName()
}

// handle reads open_by_handle_at: the file is whatever the kernel finds for the
// handle, so the kernel is asked.
func (o *observer) handle(c *call, a *access) error {
	const header = 8 // struct file_handle: handle_bytes, handle_type
	a.op = syscalls.OpenOp(a.flags, events.StateFile)
	h, err := o.memory.Bytes(c.tid, c.args[1], header)
	if err != nil {
		return err
	}
	size, kind := int(binary.NativeEndian.Uint32(h)), int32(binary.NativeEndian.Uint32(h[4:]))
	if size > 128 { // MAX_HANDLE_SZ: the kernel says EINVAL
		return procfs.ErrNoFile
	}
	data, err := o.memory.Bytes(c.tid, c.args[1]+header, size)
	if err != nil {
		return err
	}
	a.first, err = o.openHandle(c, unix.NewFileHandle(kind, data))
	if err == nil {
		a.op = syscalls.OpenOp(a.flags, a.first.State)
	}
	return err
}

func (o *observer) openHandle(c *call, h unix.FileHandle) (resolve.Result, error) {
	name := o.procfs.EntryName(c.tid, "cwd")
	if fd := int(int32(c.args[0])); fd != unix.AT_FDCWD {
		name = o.procfs.DescriptorName(c.tid, fd)
	}
	o.resolver.Enter()
	mount, err := unix.Open(string(sys.TrimNUL(name)), unix.O_RDONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	o.resolver.Leave()
	switch err {
	case nil:
	case unix.ENOENT, unix.ENXIO: // EBADF, or of no file system that has handles
		return resolve.Result{}, procfs.ErrNoFile
	default:
		return resolve.Result{}, fmt.Errorf("open the mount of a file handle: %w", err)
	}
	defer unix.Close(mount)
	o.resolver.Enter()
	fd, err := unix.OpenByHandleAt(mount, h, unix.O_PATH|unix.O_CLOEXEC)
	o.resolver.Leave()
	if err == unix.ESTALE || err == unix.EINVAL {
		return resolve.Result{}, procfs.ErrNoFile
	}
	if err != nil {
		return resolve.Result{}, fmt.Errorf("open a file handle: %w", err)
	}
	defer unix.Close(fd)
	p, err := o.procfs.Descriptor(unix.Getpid(), fd)
	if err != nil {
		return resolve.Result{}, err
	}
	mode, err := o.procfs.Mode(unix.Getpid(), fd, p.Path)
	if err != nil {
		return resolve.Result{}, err
	}
	return resolve.Result{Set: true, Path: p.Path, State: resolve.StateOf(mode), Info: resolve.InfoOf(&o.procfs.Stat)}, nil
}
