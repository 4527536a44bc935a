package syscalls

import (
	"strconv"

	"github.com/fstrace/fstrace/events"
	"golang.org/x/sys/unix"
)

// A flagName is one bit, or one group of bits that belong together, and its name
// in the manual pages.
type flagName struct {
	bits uint64
	name string
}

// A flagSet names the bits of a flags argument. Bits that are within others come
// after those (O_TMPFILE has O_DIRECTORY's).
type flagSet struct {
	mode  uint64   // bits that are a number, not flags
	modes []string // its names, by value
	flags []flagName
}

// Flags of name_to_handle_at: linux/fcntl.h.
const (
	atHandleFID         = 0x200 // AT_REMOVEDIR elsewhere
	atHandleMountUnique = 0x001
	atHandleConnectable = 0x002
)

var openFlags = flagSet{
	mode:  unix.O_ACCMODE,
	modes: []string{"O_RDONLY", "O_WRONLY", "O_RDWR", "O_ACCMODE"},
	flags: []flagName{
		{unix.O_CREAT, "O_CREAT"},
		{unix.O_EXCL, "O_EXCL"},
		{unix.O_NOCTTY, "O_NOCTTY"},
		{unix.O_TRUNC, "O_TRUNC"},
		{unix.O_APPEND, "O_APPEND"},
		{unix.O_NONBLOCK, "O_NONBLOCK"},
		{unix.O_SYNC, "O_SYNC"},
		{unix.O_DSYNC, "O_DSYNC"},
		{unix.O_ASYNC, "O_ASYNC"},
		{unix.O_DIRECT, "O_DIRECT"},
		{openLargefile, "O_LARGEFILE"},
		{unix.O_TMPFILE, "O_TMPFILE"},
		{unix.O_DIRECTORY, "O_DIRECTORY"},
		{unix.O_NOFOLLOW, "O_NOFOLLOW"},
		{unix.O_NOATIME, "O_NOATIME"},
		{unix.O_CLOEXEC, "O_CLOEXEC"},
		{unix.O_PATH, "O_PATH"},
	},
}

var flagSets = map[FlagType]flagSet{
	FlagsOpen: openFlags,
	flagsAt: {flags: []flagName{
		{unix.AT_SYMLINK_NOFOLLOW, "AT_SYMLINK_NOFOLLOW"},
		{unix.AT_REMOVEDIR, "AT_REMOVEDIR"},
		{unix.AT_SYMLINK_FOLLOW, "AT_SYMLINK_FOLLOW"},
		{unix.AT_NO_AUTOMOUNT, "AT_NO_AUTOMOUNT"},
		{unix.AT_EMPTY_PATH, "AT_EMPTY_PATH"},
		{unix.AT_STATX_FORCE_SYNC, "AT_STATX_FORCE_SYNC"},
		{unix.AT_STATX_DONT_SYNC, "AT_STATX_DONT_SYNC"},
		{unix.AT_RECURSIVE, "AT_RECURSIVE"},
	}},
	flagsAccess: {flags: []flagName{
		{unix.AT_EACCESS, "AT_EACCESS"},
		{unix.AT_SYMLINK_NOFOLLOW, "AT_SYMLINK_NOFOLLOW"},
		{unix.AT_EMPTY_PATH, "AT_EMPTY_PATH"},
	}},
	flagsHandle: {flags: []flagName{
		{atHandleFID, "AT_HANDLE_FID"},
		{atHandleMountUnique, "AT_HANDLE_MNT_ID_UNIQUE"},
		{atHandleConnectable, "AT_HANDLE_CONNECTABLE"},
		{unix.AT_SYMLINK_FOLLOW, "AT_SYMLINK_FOLLOW"},
		{unix.AT_EMPTY_PATH, "AT_EMPTY_PATH"},
	}},
	flagsRename: {flags: []flagName{
		{unix.RENAME_NOREPLACE, "RENAME_NOREPLACE"},
		{unix.RENAME_EXCHANGE, "RENAME_EXCHANGE"},
		{unix.RENAME_WHITEOUT, "RENAME_WHITEOUT"},
	}},
	flagsUmount: {flags: []flagName{
		{unix.MNT_FORCE, "MNT_FORCE"},
		{unix.MNT_DETACH, "MNT_DETACH"},
		{unix.MNT_EXPIRE, "MNT_EXPIRE"},
		{unix.UMOUNT_NOFOLLOW, "UMOUNT_NOFOLLOW"},
	}},
	flagsMoveMount: {flags: []flagName{
		{unix.MOVE_MOUNT_F_SYMLINKS, "MOVE_MOUNT_F_SYMLINKS"},
		{unix.MOVE_MOUNT_F_AUTOMOUNTS, "MOVE_MOUNT_F_AUTOMOUNTS"},
		{unix.MOVE_MOUNT_F_EMPTY_PATH, "MOVE_MOUNT_F_EMPTY_PATH"},
		{unix.MOVE_MOUNT_T_SYMLINKS, "MOVE_MOUNT_T_SYMLINKS"},
		{unix.MOVE_MOUNT_T_AUTOMOUNTS, "MOVE_MOUNT_T_AUTOMOUNTS"},
		{unix.MOVE_MOUNT_T_EMPTY_PATH, "MOVE_MOUNT_T_EMPTY_PATH"},
		{unix.MOVE_MOUNT_SET_GROUP, "MOVE_MOUNT_SET_GROUP"},
	}},
	flagsFspick: {flags: []flagName{
		{unix.FSPICK_CLOEXEC, "FSPICK_CLOEXEC"},
		{unix.FSPICK_SYMLINK_NOFOLLOW, "FSPICK_SYMLINK_NOFOLLOW"},
		{unix.FSPICK_NO_AUTOMOUNT, "FSPICK_NO_AUTOMOUNT"},
		{unix.FSPICK_EMPTY_PATH, "FSPICK_EMPTY_PATH"},
	}},
}

// Names returns the names of the bits that are set; what has no name is given as
// a number. A call without flags has none.
func (t FlagType) Names(flags uint64) []string {
	set, ok := flagSets[t]
	if !ok { // a mask whose bits say nothing of the access
		return nil
	}
	return set.names(flags)
}

func (s flagSet) names(flags uint64) []string {
	var names []string
	if s.mode != 0 {
		names = append(names, s.modes[flags&s.mode])
		flags &^= s.mode
	}
	for _, f := range s.flags {
		if flags&f.bits == f.bits {
			names = append(names, f.name)
			flags &^= f.bits
		}
	}
	if flags != 0 {
		names = append(names, "0x"+strconv.FormatUint(flags, 16))
	}
	return names
}

// lookupBits are the bits of a flags argument that change what a path means.
type lookupBits struct{ noFollow, follow, empty uint64 }

// lookupBits returns them for the first or the second path of a call.
func (t FlagType) lookupBits(second bool) lookupBits {
	switch t {
	case flagsAt, flagsAccess, flagsHandle:
		return lookupBits{unix.AT_SYMLINK_NOFOLLOW, unix.AT_SYMLINK_FOLLOW, unix.AT_EMPTY_PATH}
	case flagsUmount:
		return lookupBits{noFollow: unix.UMOUNT_NOFOLLOW}
	case flagsInotify:
		return lookupBits{noFollow: unix.IN_DONT_FOLLOW}
	case flagsFanotify:
		return lookupBits{noFollow: unix.FAN_MARK_DONT_FOLLOW}
	case flagsFspick:
		return lookupBits{noFollow: unix.FSPICK_SYMLINK_NOFOLLOW, empty: unix.FSPICK_EMPTY_PATH}
	case flagsMoveMount:
		if second {
			return lookupBits{follow: unix.MOVE_MOUNT_T_SYMLINKS, empty: unix.MOVE_MOUNT_T_EMPTY_PATH}
		}
		return lookupBits{follow: unix.MOVE_MOUNT_F_SYMLINKS, empty: unix.MOVE_MOUNT_F_EMPTY_PATH}
	}
	return lookupBits{}
}

// OpenOp returns the operation of an open, by its flags and by what was there.
func OpenOp(flags uint64, s events.State) events.Op {
	switch {
	case flags&unix.O_PATH != 0:
		return events.OpStat
	case flags&unix.O_ACCMODE != unix.O_RDONLY, flags&unix.O_TRUNC != 0:
		return events.OpWrite
	case flags&unix.O_CREAT != 0 && s == events.StateAbsent:
		return events.OpWrite
	case s == events.StateDir, flags&unix.O_DIRECTORY != 0:
		return events.OpStat // reading a directory is getdents
	}
	return events.OpRead
}

// OpenFollows reports whether open follows a symbolic link at the end: open(2).
func OpenFollows(flags uint64) bool {
	return flags&unix.O_NOFOLLOW == 0 && flags&(unix.O_CREAT|unix.O_EXCL) != unix.O_CREAT|unix.O_EXCL
}
