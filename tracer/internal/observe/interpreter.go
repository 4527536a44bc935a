package observe

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"

	"golang.org/x/sys/unix"
)

// The kernel opens more than the file that an exec names: the interpreter of a
// "#!" line, that one's if it is a script too, and the ELF interpreter of the
// program. No system call names them, so they are read from the
// files: execve(2), elf(5).

const (
	binprmSize = 256 // BINPRM_BUF_SIZE (128 before Linux 5.1): what the kernel looks at
	// maxInterpreters is how many "#!" lines the kernel follows: ELOOP beyond.
	maxInterpreters = 5
)

// errNotProgram says that a file's beginning is neither "#!" nor ELF. The exec
// fails with ENOEXEC, or binfmt_misc knows the format.
var errNotProgram = errors.New("neither a script nor an ELF program")

// interpreter returns the path that a program names as its interpreter, "" if it
// needs none, and whether that one is run in its place (a "#!" line).
func interpreter(f io.ReaderAt) (path []byte, script bool, err error) {
	var head [binprmSize]byte
	n, err := f.ReadAt(head[:], 0)
	if err != nil && err != io.EOF {
		return nil, false, err
	}
	switch b := head[:n]; {
	case bytes.HasPrefix(b, []byte("#!")):
		return shebang(b[2:]), true, nil
	case bytes.HasPrefix(b, []byte("\x7fELF")):
		path, err := elfInterpreter(b, f)
		return path, false, err
	}
	return nil, false, errNotProgram
}

// shebang returns the first word of a "#!" line. A line that may go on behind what the
// kernel looks at is none: it runs no interpreter by half a name.
func shebang(line []byte) []byte {
	line, _, whole := bytes.Cut(line, []byte("\n"))
	whole = whole || len(line) < binprmSize-len("#!") // the file's end
	line = bytes.TrimLeft(line, " \t")
	end := bytes.IndexAny(line, " \t\x00")
	switch {
	case end >= 0:
		return line[:end]
	case whole:
		return line
	}
	return nil
}

// elfLayout is where a class of ELF files keeps what is read of it.
type elfLayout struct {
	phoff, phentsize, phnum int // in the file header
	offset, filesz          int // in a program header
	wide                    bool
}

const (
	elfClass  = 4 // EI_CLASS
	elfData   = 5 // EI_DATA
	elfInterp = 3 // PT_INTERP
)

var (
	elf32 = elfLayout{phoff: 28, phentsize: 42, phnum: 44, offset: 4, filesz: 16}
	elf64 = elfLayout{phoff: 32, phentsize: 54, phnum: 56, offset: 8, filesz: 32, wide: true}
)

// elfInterpreter returns the content of an ELF file's PT_INTERP segment, nil if
// it has none. What the kernel would refuse to run gives nil as well.
func elfInterpreter(head []byte, f io.ReaderAt) ([]byte, error) {
	if len(head) < 64 {
		return nil, errNotProgram
	}
	var order binary.ByteOrder = binary.LittleEndian
	if head[elfData] == 2 {
		order = binary.BigEndian
	}
	layout := elf32
	if head[elfClass] == 2 {
		layout = elf64
	}
	word := func(b []byte, at int) int64 {
		if layout.wide {
			return int64(order.Uint64(b[at:]))
		}
		return int64(order.Uint32(b[at:]))
	}
	size := int64(order.Uint16(head[layout.phentsize:]))
	count := int64(order.Uint16(head[layout.phnum:]))
	if size < 32 || size > 256 || layout.wide && size < 56 {
		return nil, nil
	}
	headers := make([]byte, size*count)
	if _, err := f.ReadAt(headers, word(head, layout.phoff)); err != nil && err != io.EOF {
		return nil, err
	}
	for ; len(headers) > 0; headers = headers[size:] {
		if order.Uint32(headers) != elfInterp {
			continue
		}
		length := word(headers, layout.filesz)
		if length < 2 || length > unix.PathMax { // the kernel says ENOEXEC
			return nil, nil
		}
		path := make([]byte, length)
		if _, err := f.ReadAt(path, word(headers, layout.offset)); err != nil {
			return nil, err
		}
		path, _, _ = bytes.Cut(path, []byte{0})
		return path, nil
	}
	return nil, nil
}

// readInterpreter returns what interpreter does, of the file of that name.
func readInterpreter(name string) (path []byte, script bool, err error) {
	f, err := openProgram(name)
	if err != nil {
		return nil, false, err
	}
	defer f.Close()
	return interpreter(f)
}

// programFile is a file opened to look for its interpreter.
type programFile int

// openProgram opens without waiting for anybody (a FIFO may stand there by now),
// and without leaving a trace in the file's access time where that is allowed.
func openProgram(name string) (programFile, error) {
	const flags = unix.O_RDONLY | unix.O_NONBLOCK | unix.O_NOCTTY | unix.O_CLOEXEC
	fd, err := unix.Open(name, flags|unix.O_NOATIME, 0)
	if err == unix.EPERM { // not the owner
		fd, err = unix.Open(name, flags, 0)
	}
	return programFile(fd), err
}

func (f programFile) ReadAt(b []byte, off int64) (int, error) {
	if off < 0 {
		return 0, io.EOF
	}
	n, err := unix.Pread(int(f), b, off)
	if err != nil {
		return 0, err
	}
	if n < len(b) {
		return n, io.EOF
	}
	return n, nil
}

func (f programFile) Close() error { return unix.Close(int(f)) }
