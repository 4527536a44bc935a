package manifest

import (
	"bytes"
	"encoding/binary"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// An inotify is a descriptor of inotify(7) that watches directories.
type inotify struct {
	fd   int
	most int  // how many watches it may have
	full bool // the kernel gives no more
	buf  [16 << 10]byte
}

// A notice is what inotify reports of a name in a directory.
type notice struct {
	watch  int32
	mask   uint32
	cookie uint32 // of the two notices of a rename
	name   []byte
}

const (
	// IN_OPEN is there because the kernel drops a notice that is equal to the last one in
	// its queue: it stands between two IN_CLOSE_WRITE of one file. IN_EXCL_UNLINK leaves
	// out the closing of files that have lost their name.
	watchMask = unix.IN_OPEN | unix.IN_CLOSE_WRITE | unix.IN_MOVED_FROM | unix.IN_MOVED_TO | unix.IN_DELETE |
		unix.IN_ATTRIB |
		unix.IN_EXCL_UNLINK | unix.IN_DONT_FOLLOW

	// A user has so many watches, and the command may need some itself: each recorder
	// takes a part of them at most.
	mostWatches   = 8 << 10
	watchesPart   = 8
	watchesLimits = "/proc/sys/fs/inotify/max_user_watches"
)

// newInotify returns nil where there is none to be had.
func newInotify() *inotify {
	b, err := os.ReadFile(watchesLimits)
	if err != nil {
		return nil
	}
	limit, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil {
		return nil
	}
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil { // EMFILE: a user may have 128
		return nil
	}
	return &inotify{fd: fd, most: min(mostWatches, limit/watchesPart)}
}

// add watches a directory, or a file, and returns the number of the watch, which is the
// same each time, by whatever path. It returns false if it cannot be watched, or if what
// inotify would report is not all: others change files of a network file system, too.
func (n *inotify) add(path string, flags uint32) (watch int32, ok bool) {
	var fs unix.Statfs_t
	if err := ignoringEINTR(func() error { return unix.Statfs(path, &fs) }); err != nil || !localFileSystems[int64(fs.Type)] {
		return 0, false
	}
	number, err := unix.InotifyAddWatch(n.fd, path, watchMask|flags)
	n.full = n.full || err == unix.ENOSPC
	return int32(number), err == nil
}

// read passes on what there is to read, and reports whether the kernel has left nothing
// out.
func (n *inotify) read(take func(notice)) bool {
	for {
		var size int
		err := ignoringEINTR(func() (err error) {
			size, err = unix.Read(n.fd, n.buf[:])
			return err
		})
		if err != nil || size <= 0 {
			return err == unix.EAGAIN
		}
		if !parseNotices(n.buf[:size], take) {
			return false
		}
		if size < len(n.buf)-unix.SizeofInotifyEvent-unix.NAME_MAX-1 { // another one had room
			return true
		}
	}
}

// Where a struct inotify_event has its fields.
const (
	noticeMask   = 4
	noticeCookie = 8
	noticeLength = 12
)

// parseNotices passes each struct inotify_event to take. It returns false if one of them
// says that the queue was full, or is cut off.
func parseNotices(b []byte, take func(notice)) bool {
	for len(b) > 0 {
		if len(b) < unix.SizeofInotifyEvent {
			return false
		}
		n := notice{
			watch:  int32(binary.NativeEndian.Uint32(b)),
			mask:   binary.NativeEndian.Uint32(b[noticeMask:]),
			cookie: binary.NativeEndian.Uint32(b[noticeCookie:]),
		}
		length := uint64(binary.NativeEndian.Uint32(b[noticeLength:]))
		b = b[unix.SizeofInotifyEvent:]
		if length > uint64(len(b)) || n.mask&unix.IN_Q_OVERFLOW != 0 {
			return false
		}
		n.name, b = b[:length], b[length:]
		if end := bytes.IndexByte(n.name, 0); end >= 0 {
			n.name = n.name[:end]
		}
		take(n)
	}
	return true
}

// close closes the descriptor. The process that closes the last one of an inotify
// instance waits until nobody in the kernel can be looking at its watches
// (synchronize_srcu): 5 to 15 ms, also if that is the end of the process. So the last one
// is put into a message of a Unix socket which only that message refers to: unix(7)
// sockets in such circles are removed by a thread of the kernel, when a socket is closed.
func (n *inotify) close() {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		unix.Close(n.fd)
		return
	}
	_ = unix.Sendmsg(pair[0], []byte{0}, unix.UnixRights(pair[1], n.fd), nil, 0)
	for _, fd := range []int{n.fd, pair[1], pair[0]} { // the sender is the last
		unix.Close(fd)
	}
}

// isCasefolded reports whether names in a directory are the same in upper and lower case.
func isCasefolded(dir string) bool {
	const casefoldFlag = 0x40000000 // FS_CASEFOLD_FL
	fd, err := unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return false
	}
	defer unix.Close(fd)
	flags, err := unix.IoctlGetUint32(fd, unix.FS_IOC_GETFLAGS)
	return err == nil && flags&casefoldFlag != 0
}
