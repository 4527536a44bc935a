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
func (f osFS) readDir(path string) (dirList, error) {
	var fd int
	err := ignoringEINTR(func() (err error) {
		fd, err = unix.Open(path, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
		return err
	})
	if err != nil {
		return dirList{}, err
	}
	defer unix.Close(fd)
	info, err := osFile(fd).stat()
	if err != nil {
		return dirList{}, err
	}
	var found typedNames
	var buf [8 << 10]byte
	for {
		var n int
		err := ignoringEINTR(func() (err error) {
			n, err = unix.Getdents(fd, buf[:])
			return err
		})
		if err == nil && n <= 0 {
			after, err := osFile(fd).stat()
			return dirList{info: info, names: found.list(), changing: after.Mtime != info.Mtime}, err
		}
		if err == nil {
			err = f.appendNames(&found, path, buf[:n])
		}
		if err != nil {
			return dirList{}, err
		}
	}
}

// typedNames are names as Entry.Names has them, one after the other: they become parts of
// one string.
type typedNames struct {
	text []byte
	ends []int
}

func (t *typedNames) add(s events.State, name []byte) {
	t.text = append(append(t.text, typeLetters[s], ':'), name...)
	t.ends = append(t.ends, len(t.text))
}

func (t *typedNames) list() []string {
	if len(t.ends) == 0 {
		return nil
	}
	text, start := string(t.text), 0
	list := make([]string, len(t.ends))
	for i, end := range t.ends {
		list[i], start = text[start:end], end
	}
	return list
}

// Where a struct linux_dirent64 has its fields.
const (
	direntLength = 16
	direntType   = 18
	direntName   = 19
)

// appendNames adds the names of a buffer of struct linux_dirent64, each behind the letter
// for its type.
func (f osFS) appendNames(found *typedNames, path string, entries []byte) error {
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
				return err
			}
		}
		found.add(s, name)
	}
	return nil
}

var direntStates = map[byte]events.State{
	unix.DT_REG: events.StateFile, unix.DT_DIR: events.StateDir, unix.DT_LNK: events.StateSymlink,
	unix.DT_CHR: events.StateOther, unix.DT_BLK: events.StateOther, unix.DT_FIFO: events.StateOther, unix.DT_SOCK: events.StateOther,
}
