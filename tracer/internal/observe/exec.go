package observe

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
func (o *Observer) exec(c *Call, v *resolve.View, a *Access) error {
	var err error
	if a.First, err = o.lookup(c, v, c.Row.First, a.flags, false); err != nil {
		return err
	}
	program := a.First
	name := o.nameFor(c, v, &program)
	for range maxInterpreters + 1 {
		if program.State != events.StateFile || program.Info.Mode&0o111 == 0 {
			return nil // the kernel says ENOENT, EACCES
		}
		a.Running = Image{program.End(), program.Info.Dev, program.Info.Ino, a.First.As}
		path, script, err := o.programs.interpreter(name, &program.Info, o.resolver.Now, o.resolver)
		if errors.Is(err, procfs.ErrUnanswered) {
			return nil
		}
		if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENOTDIR) {
			return nil // removed meanwhile: the kernel, which looks for it later, does not find it either
		}
		if err != nil && !errors.Is(err, errNotProgram) {
			o.incomplete(events.ReasonOpaqueProcess, c.PID,
				fmt.Sprintf("its program %s may not be read: interpreters unknown: %v", program.Path, err))
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
func (o *Observer) nameFor(c *Call, v *resolve.View, r *resolve.Result) string {
	if r.As == "" && c.Row.First.Dir != syscalls.None { // by descriptor: it may have no name any more
		return string(sys.TrimNUL(o.procfs.DescriptorName(c.TID, int(int32(c.arg(c.Row.First.Dir))))))
	}
	return r.OpenName()
}

// handle reads open_by_handle_at: the file is whatever the kernel finds for the
// handle, so the kernel is asked.
func (o *Observer) handle(c *Call, a *Access) error {
	const header = 8 // struct file_handle: handle_bytes, handle_type
	a.op = syscalls.OpenOp(a.flags, events.StateFile)
	h, err := c.Source.Bytes(c.TID, c.Args[1], header)
	if err != nil {
		return err
	}
	size, kind := int(binary.NativeEndian.Uint32(h)), int32(binary.NativeEndian.Uint32(h[4:]))
	if size > 128 { // MAX_HANDLE_SZ: the kernel says EINVAL
		return procfs.ErrNoFile
	}
	data, err := c.Source.Bytes(c.TID, c.Args[1]+header, size)
	if err != nil {
		return err
	}
	a.First, err = o.openHandle(c, unix.NewFileHandle(kind, data))
	if err == nil {
		a.op = syscalls.OpenOp(a.flags, a.First.State)
	}
	return err
}

func (o *Observer) openHandle(c *Call, h unix.FileHandle) (resolve.Result, error) {
	name := o.procfs.EntryName(c.TID, "cwd")
	if fd := int(int32(c.Args[0])); fd != unix.AT_FDCWD {
		name = o.procfs.DescriptorName(c.TID, fd)
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
	if err == unix.EPERM {
		// Nor may the caller, if it has no capability: not on a file system.
		if st, statusErr := procfs.ReadStatus(c.TID); statusErr == nil && !st.Capable {
			err = unix.ESTALE
		}
	}
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
