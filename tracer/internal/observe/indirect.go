package observe

import (
	"bytes"
	"encoding/binary"
	"os"
	"strconv"
	"strings"

	"github.com/fstrace/fstrace/events"
	"github.com/fstrace/fstrace/tracer/internal/procfs"
	"github.com/fstrace/fstrace/tracer/internal/resolve"
	"github.com/fstrace/fstrace/tracer/internal/syscalls"
	"golang.org/x/sys/unix"
)

// Calls that name files within strings of options, in structs, or by other names than
// paths.

// from resolves a path that is relative to a descriptor, or AT_FDCWD.
func (o *Observer) from(c *Call, v *resolve.View, dir int, name []byte, mode resolve.Mode) (resolve.Result, error) {
	if len(name) == 0 {
		return resolve.Result{}, procfs.ErrNoFile
	}
	if dir == unix.AT_FDCWD || name[0] == '/' {
		return o.resolve(c, v, syscalls.FromCwd, name, mode)
	}
	at, err := o.procfs.Descriptor(c.TID, dir)
	if err != nil {
		return resolve.Result{}, err
	}
	return o.resolver.Resolve(v, resolve.Base{Place: at}, name, mode), nil
}

// pathAt reads a path from a tracee's memory and resolves it.
func (o *Observer) pathAt(c *Call, v *resolve.View, dir int, addr uint64, mode resolve.Mode) (resolve.Result, error) {
	if addr == 0 {
		return resolve.Result{}, procfs.ErrNoFile
	}
	name, err := c.Source.CString(c.TID, addr)
	if err != nil {
		return resolve.Result{}, err
	}
	return o.from(c, v, dir, name, mode)
}

// bpf reads bpf(2), whose arguments are in a union bpf_attr: objects pinned in a file
// system, and programs that a uprobe is put into.
func (o *Observer) bpf(c *Call, v *resolve.View, a *Access) error {
	const pathname, fileFlags, pathFD, objectSize = 0, 12, 16, 20
	const attachType, uprobePath, linkSize = 8, 16, 24
	const flagPathFD, uprobeMulti, uprobeSession = 1 << 14, 48, 57
	size := objectSize
	if uint32(c.Args[0]) == syscalls.BPFLinkCreate {
		size = linkSize
	}
	var attr [linkSize]byte // what the caller leaves out is 0
	b, err := c.Source.Bytes(c.TID, c.Args[1], min(size, int(c.Args[2]&0xffff)))
	if err != nil {
		return err
	}
	copy(attr[:], b)
	if uint32(c.Args[0]) == syscalls.BPFLinkCreate {
		if kind := binary.NativeEndian.Uint32(attr[attachType:]); kind != uprobeMulti && kind != uprobeSession {
			return procfs.ErrNoFile
		}
		a.op = events.OpRead
		a.First, err = o.pathAt(c, v, unix.AT_FDCWD, binary.NativeEndian.Uint64(attr[uprobePath:]), resolve.Follow)
		return err
	}
	dir := unix.AT_FDCWD
	if binary.NativeEndian.Uint32(attr[fileFlags:])&flagPathFD != 0 {
		dir = int(int32(binary.NativeEndian.Uint32(attr[pathFD:])))
	}
	mode := resolve.Follow
	if uint32(c.Args[0]) == syscalls.BPFObjPin {
		a.op, mode = events.OpCreate, resolve.Entry
	}
	a.First, err = o.pathAt(c, v, dir, binary.NativeEndian.Uint64(attr[pathname:]), mode)
	return err
}

// perfEvent reads perf_event_open(2): of a uprobe, the program that it is put into.
func (o *Observer) perfEvent(c *Call, v *resolve.View, a *Access) error {
	const kind, path, size = 0, 56, 64
	b, err := c.Source.Bytes(c.TID, c.Args[0], size)
	if err != nil {
		return err
	}
	addr := binary.NativeEndian.Uint64(b[path:])
	if binary.NativeEndian.Uint32(b[kind:]) != uprobeType() {
		return procfs.ErrNoFile
	}
	a.First, err = o.pathAt(c, v, unix.AT_FDCWD, addr, resolve.Follow)
	return err
}

// uprobeType returns the number that this kernel has for uprobes, which are numbered as
// they are registered; 0, which is another's, where there are none.
func uprobeType() uint32 {
	text, err := os.ReadFile("/sys/bus/event_source/devices/uprobe/type")
	if err != nil {
		return 0
	}
	n, _ := strconv.ParseUint(strings.TrimSpace(string(text)), 10, 32)
	return uint32(n)
}

// quota reads quotactl(2): a device and, to turn quotas on, the file that has them.
func (o *Observer) quota(c *Call, v *resolve.View, a *Access) (err error) {
	const turnOn = 0x800002 // Q_QUOTAON
	if a.First, err = o.pathAt(c, v, unix.AT_FDCWD, c.Args[1], resolve.Follow); err != nil {
		return err
	}
	if uint32(c.Args[0])>>8 == turnOn {
		if file, err := o.pathAt(c, v, unix.AT_FDCWD, c.Args[3], resolve.Follow); err == nil {
			a.more = append(a.more, named{op: events.OpStat, file: file})
		}
	}
	return nil
}

// messageQueue reads mq_open and mq_unlink. A queue has a name, and no path except where
// its file system is mounted, usually at /dev/mqueue: mq_overview(7).
func (o *Observer) messageQueue(c *Call, a *Access) error {
	name, err := c.Source.CString(c.TID, c.Args[0])
	if err != nil {
		return err
	}
	if len(name) == 0 || bytes.IndexByte(name, '/') >= 0 {
		return procfs.ErrNoFile // ENOENT, EACCES: the C library has taken the first slash away
	}
	a.First = resolve.Result{Set: true, As: string(name), Path: "/dev/mqueue/" + string(name), State: events.StateUnknown}
	if a.op != events.OpDelete {
		a.flags &= 0xffffffff
		if a.op = syscalls.OpenOp(a.flags, events.StateUnknown); a.flags&unix.O_CREAT != 0 {
			a.op = events.OpWrite
		}
	}
	return nil
}

// mount reads mount(2), whose source is a path for some types of mount only, and whose
// options may have paths.
func (o *Observer) mount(c *Call, v *resolve.View, a *Access) error {
	target, err := o.lookup(c, v, c.Row.Second, 0, true)
	if err != nil {
		return err
	}
	a.First = target
	if source, err := c.Source.CString(c.TID, c.Args[0]); err == nil && len(source) > 0 && source[0] == '/' {
		if a.First, err = o.resolve(c, v, c.Row.First, source, resolve.Follow); err != nil {
			return err
		}
		a.second = target
	}
	const noOptions = unix.MS_BIND | unix.MS_MOVE | unix.MS_SHARED | unix.MS_PRIVATE | unix.MS_SLAVE | unix.MS_UNBINDABLE
	if c.Args[3]&noOptions != 0 || c.Args[4] == 0 {
		return nil
	}
	options, err := c.Source.CString(c.TID, c.Args[4])
	if err != nil {
		return nil // the kernel refuses them, or they are no string
	}
	for _, path := range optionPaths(string(options)) {
		file, err := o.from(c, v, unix.AT_FDCWD, []byte(path), resolve.Follow)
		if err != nil {
			return err
		}
		a.more = append(a.more, named{op: events.OpStat, file: file})
	}
	return nil
}

// An expiry is a path that was given to umount2 with MNT_EXPIRE, and what it is relative
// to.
type expiry struct{ base, name string }

// maxExpiring bounds the memory of such paths.
const maxExpiring = 64

// umount reads umount2(2). With MNT_EXPIRE the second call unmounts, if no process has
// looked at it since the first one: so what the first one found is taken for the second.
func (o *Observer) umount(c *Call, v *resolve.View, a *Access) error {
	if a.flags&unix.MNT_EXPIRE == 0 {
		return o.readRefs(c, v, a)
	}
	name, err := c.Source.CString(c.TID, c.Args[0])
	if err != nil {
		return err
	}
	key := expiry{name: string(name)}
	if len(name) > 0 && name[0] != '/' {
		base, err := o.cwd(c)
		if err != nil {
			return err
		}
		key.base = base.Path
	}
	if r, ok := o.expiring[key]; ok {
		delete(o.expiring, key)
		a.First = r
		return nil
	}
	if err := o.readRefs(c, v, a); err != nil {
		return err
	}
	if o.expiring == nil || len(o.expiring) >= maxExpiring {
		o.expiring = make(map[expiry]resolve.Result)
	}
	o.expiring[key] = a.First
	return nil
}

// fsconfig reads fsconfig(2), which gives one option of a mount to be.
func (o *Observer) fsconfig(c *Call, v *resolve.View, a *Access) error {
	const setString, setPath, setPathEmpty = 1, 3, 4 // enum fsconfig_command
	switch uint32(c.Args[1]) {
	case setPath, setPathEmpty:
		return o.readRefs(c, v, a)
	case setString:
	default:
		return procfs.ErrNoFile
	}
	key, err := c.Source.CString(c.TID, c.Args[2])
	if err != nil {
		return err
	}
	option := string(key) + "="
	value, err := c.Source.CString(c.TID, c.Args[3])
	if err != nil {
		return err
	}
	var paths []string
	if option == "source=" {
		if len(value) > 0 && value[0] == '/' { // else what the file system makes of it
			paths = []string{string(value)}
		}
	} else {
		paths = optionPaths(option + strings.ReplaceAll(string(value), ",", `\,`))
	}
	for i, path := range paths {
		file, err := o.from(c, v, unix.AT_FDCWD, []byte(path), resolve.Follow)
		switch {
		case err != nil:
			return err
		case i == 0:
			a.First = file
		default:
			a.more = append(a.more, named{op: events.OpStat, file: file})
		}
	}
	if len(paths) == 0 {
		return procfs.ErrNoFile
	}
	return nil
}

// pathOptions are the options of file systems that are paths: overlayfs's layers, and
// devices and journals beside the source.
var pathOptions = map[string]bool{
	"lowerdir": true, "lowerdir+": true, "datadir+": true, "upperdir": true, "workdir": true,
	"device": true, "journal_path": true, "logdev": true, "rtdev": true,
}

// optionPaths returns the paths in a string of options. A backslash takes the meaning
// from the character behind it.
func optionPaths(options string) []string {
	var paths []string
	for _, option := range splitUnescaped(options, ',') {
		key, value, _ := strings.Cut(option, "=")
		if !pathOptions[key] {
			continue
		}
		layers := []string{value}
		if key == "lowerdir" {
			layers = splitUnescaped(value, ':')
		}
		for _, path := range layers {
			if path = unescaped(path); path != "" {
				paths = append(paths, path)
			}
		}
	}
	return paths
}

// splitUnescaped splits s at each sep that has no backslash before it.
func splitUnescaped(s string, sep byte) []string {
	var parts []string
	start := 0
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case sep:
			parts = append(parts, s[start:i])
			start = i + 1
		}
	}
	return append(parts, s[start:])
}

// unescaped takes the backslashes away.
func unescaped(s string) string {
	if !strings.Contains(s, `\`) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+1 < len(s) {
			i++
		}
		b.WriteByte(s[i])
	}
	return b.String()
}
