package manifest

import (
	"crypto/sha256"
	"encoding/binary"
	"os"
	"sync"
	"sync/atomic"

	"github.com/fstrace/fstrace/events"
	"golang.org/x/sys/unix"
)

// An identity is what statx(2) says of a file, and on which mount it is.
type identity struct {
	events.FileInfo
	// mount names the mount: the same as long as that is mounted, and never given to
	// another. 0 if the times of a file there do not show that it has changed.
	mount uint64
}

// mounts remembers which mounts can be trusted: a file that is on the same one and has
// the same inode, size and times as before holds the same as before. The methods may be
// called concurrently.
//
// Times alone do not show that. Images are made with fixed times, and the next one may be
// mounted with the same device number: so it has to be the same mount. And on network
// and FUSE file systems another machine or a program sets the change time.
type mounts struct {
	boot [32]byte // of this boot of the system: mount ids begin again with the next
	keys sync.Map // mount id or device -> key
	last atomic.Pointer[mountKey]
}

// A mountKey is a key of mounts: most files are on the same mount as the last one.
type mountKey struct{ number, key uint64 }

func newMounts() *mounts {
	id, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return nil
	}
	return &mounts{boot: sha256.Sum256(id)}
}

// Of these file systems the kernel of this machine sets the change time, or nothing
// does, because they cannot be written to.
var (
	localFileSystems = map[int64]bool{
		unix.EXT4_SUPER_MAGIC: true, unix.XFS_SUPER_MAGIC: true, unix.BTRFS_SUPER_MAGIC: true,
		unix.F2FS_SUPER_MAGIC: true, unix.TMPFS_MAGIC: true, unix.OVERLAYFS_SUPER_MAGIC: true,
	}
	imageFileSystems = map[int64]bool{
		unix.SQUASHFS_MAGIC: true, unix.EROFS_SUPER_MAGIC_V1: true, unix.ISOFS_SUPER_MAGIC: true,
	}
)

// loopMajor is the device number of loop devices, which hold images.
const loopMajor = 7

// key returns the identity's mount of the regular file at path.
func (m *mounts) key(path string, stx *unix.Statx_t) uint64 {
	if m == nil {
		return 0
	}
	unique := stx.Mask&unix.STATX_MNT_ID_UNIQUE != 0
	number := stx.Mnt_id // Linux 6.8
	if !unique {
		number = unix.Mkdev(stx.Dev_major, stx.Dev_minor)
	}
	if last := m.last.Load(); last != nil && last.number == number {
		return last.key
	}
	if key, ok := m.keys.Load(number); ok {
		m.last.Store(&mountKey{number, key.(uint64)})
		return key.(uint64)
	}
	var fs unix.Statfs_t
	if err := ignoringEINTR(func() error { return unix.Statfs(path, &fs) }); err != nil {
		return 0
	}
	var key uint64
	isImage := imageFileSystems[int64(fs.Type)] || stx.Dev_major == loopMajor
	if localFileSystems[int64(fs.Type)] && (unique || !isImage) || imageFileSystems[int64(fs.Type)] && unique {
		b := binary.LittleEndian.AppendUint64(m.boot[:], number)
		sum := sha256.Sum256(b)
		key = binary.LittleEndian.Uint64(sum[:]) | 1
	}
	m.keys.Store(number, key)
	return key
}

// identify is lstat that also says on which mount a regular file is.
func (f osFS) identify(path string) (identity, error) {
	const mask = unix.STATX_BASIC_STATS | unix.STATX_MNT_ID_UNIQUE
	var stx unix.Statx_t
	err := ignoringEINTR(func() error { return statx(path, mask, &stx) })
	if err == unix.ENOSYS { // Linux 4.11
		info, err := f.lstat(path)
		return identity{FileInfo: info}, err
	}
	if err != nil {
		return identity{}, err
	}
	id := identity{FileInfo: events.FileInfo{
		Dev: unix.Mkdev(stx.Dev_major, stx.Dev_minor), Ino: stx.Ino, Mode: uint32(stx.Mode), UID: stx.Uid, GID: stx.Gid,
		Nlink: stx.Nlink, Size: int64(stx.Size), Mtime: nanoseconds(stx.Mtime), Ctime: nanoseconds(stx.Ctime),
	}}
	if stx.Mode&unix.S_IFMT == unix.S_IFREG {
		id.mount = f.mounts.key(path, &stx)
	}
	return id, nil
}

func nanoseconds(t unix.StatxTimestamp) int64 { return t.Sec*1e9 + int64(t.Nsec) }
