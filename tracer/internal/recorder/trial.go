package recorder

import (
	"fmt"

	"github.com/fstrace/fstrace/seccomp"
	"golang.org/x/sys/unix"
)

// An inside is the recorder in this very process.
type inside struct {
	mem     []byte // Size bytes
	key     seccomp.Key
	ring    *Ring
	counter *Counter
}

// newInside maps a recorder for this process.
func newInside(key seccomp.Key) (in *inside, err error) {
	if _, err := loadProgram(); err != nil {
		return nil, err
	}
	begun := &inside{key: key}
	in = begun
	defer func() {
		if err != nil {
			begun.close()
		}
	}()
	if in.ring, err = NewRing(); err != nil {
		return nil, err
	}
	if in.counter, err = NewCounter(); err != nil {
		return nil, err
	}
	in.mem, err = unix.Mmap(-1, 0, Size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
	if err != nil {
		return nil, fmt.Errorf("recorder: mmap: %w", err)
	}
	image, err := Image(key, uint64(in.base()))
	if err != nil {
		return nil, err
	}
	copy(in.mem, image)
	native.PutUint64(in.mem[token:], 1)
	if err = unix.Mprotect(in.mem[codePage:codePage+pageSize], unix.PROT_READ|unix.PROT_EXEC); err != nil {
		return nil, fmt.Errorf("recorder: make memory executable: %w", err)
	}
	const prot = unix.PROT_READ | unix.PROT_WRITE
	if err = mapAt(in.base()+counterPage, pageSize, prot, unix.MAP_SHARED, in.counter.fd); err == nil {
		err = mapAt(in.base()+ring, ringSize, prot, unix.MAP_SHARED, in.ring.fd)
	}
	if err != nil {
		return nil, fmt.Errorf("recorder: map shared memory: %w", err)
	}
	return in, nil
}

func (in *inside) base() uintptr { return addressOf(in.mem) }

// call makes a call by way of the recorder.
func (in *inside) call(nr int, args [5]uintptr) uintptr {
	return enter(in.base()+entry, uintptr(nr), args[0], args[1], args[2], args[3], args[4])
}

// close takes the recorder out of the process.
func (in *inside) close() {
	if in.mem != nil {
		_ = unix.Munmap(in.mem) // it was mapped by mmap, whole
	}
	if in.ring != nil {
		_ = in.ring.Close()
	}
	if in.counter != nil {
		_ = in.counter.Close()
	}
}

// Try tries out whether a process can record a call here: this one does. It needs no
// privilege, and leaves nothing.
func Try() error {
	in, err := newInside(0)
	if err != nil {
		return err
	}
	defer in.close()
	in.ring.Open(Absolute)
	path := in.mem[tokenPage+pageSize/2:] // memory that does not move
	copy(path, "/\x00")
	result := in.call(tryCall, [5]uintptr{addressOf(path)})
	n := 0
	err = in.ring.Drain(in.counter, false, func(r *Record) {
		if r.Returned && r.Result == int64(result) && string(r.Path) == "/" {
			n++
		}
	})
	switch {
	case err != nil:
		return err
	case n != 1 || result != 0:
		return fmt.Errorf("recorder: a call that returned %d was recorded %d times", int64(result), n)
	}
	return nil
}
