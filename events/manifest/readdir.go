package manifest

import (
	"bytes"
	"encoding/binary"

	"github.com/fstrace/fstrace/events"
	"golang.org/x/sys/unix"
)

// readDir reads a directory by getdents64(2). os.ReadDir also sorts, and makes an object
// of each entry and of the file: all directories that a command lists are read as it
// runs, and sorted later.
func (f osFS) readDir(path string) ([]string, error) {
	var fd int
	err := ignoringEINTR(func() (err error) {
		fd, err = unix.Open(path, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		return err
	})
	if err != nil {
		return nil, err
	}
	defer unix.Close(fd)
	var list []string
	var buf [8 << 10]byte
	for {
		var n int
		err := ignoringEINTR(func() (err error) {
			n, err = unix.Getdents(fd, buf[:])
			return err
		})
		if err != nil {
			return nil, err
		}
		if n <= 0 {
			return list, nil
		}
		if list, err = f.appendNames(list, path, buf[:n]); err != nil {
			return nil, err
		}
	}
}

// Where a struct linux_dirent64 has its fields.
const (
	direntLength = 16
	direntType   = 18
	direntName   = 19
)

// appendNames appends the names of a buffer of struct linux_dirent64, each behind the
// letter for its type.
func (f osFS) appendNames(list []string, path string, entries []byte) ([]string, error) {
	for len(entries) > direntName {
		length := int(binary.NativeEndian.Uint16(entries[direntLength:]))
		if length <= direntName || length > len(entries) {
			break // the kernel writes none such
		}
		entry := entries[:length]
		entries = entries[length:]
		name := entry[direntName:]
		if end := bytes.IndexByte(name, 0); end >= 0 {
			name = name[:end]
		}
		if string(name) == "." || string(name) == ".." {
			continue
		}
		s, known := direntStates[entry[direntType]]
		if !known { // not every file system tells
			info, err := f.lstat(join(path, string(name)))
			if s = stateOf(&info, err); s == events.StateAbsent {
				continue
			} else if err != nil {
				return nil, err
			}
		}
		list = append(list, typedName(s, string(name)))
	}
	return list, nil
}

var direntStates = map[byte]events.State{
	unix.DT_REG: events.StateFile, unix.DT_DIR: events.StateDir, unix.DT_LNK: events.StateSymlink,
	unix.DT_CHR: events.StateOther, unix.DT_BLK: events.StateOther, unix.DT_FIFO: events.StateOther, unix.DT_SOCK: events.StateOther,
}
