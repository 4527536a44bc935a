package procfs

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"reflect"
	"testing"

	"github.com/fstrace/fstrace/testdata/harness"
	"github.com/fstrace/fstrace/tracer/internal/sys"
	"golang.org/x/sys/unix"
)

// mapPages maps n pages of this process's, filled with 'x'. The address is theirs
// until the test ends: the garbage collector does not know of them.
func mapPages(t *testing.T, n int) (b []byte, addr uint64) {
	t.Helper()
	b, err := unix.Mmap(-1, 0, n*os.Getpagesize(), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Munmap(b) })
	for i := range b {
		b[i] = 'x'
	}
	return b, addressOf(b)
}

func addressOf(b []byte) uint64 { return uint64(reflect.ValueOf(b).Pointer()) }

// bothWays runs f with each way of reading memory.
func bothWays(t *testing.T, f func(t *testing.T, m *Memory)) {
	t.Run("process_vm_readv", func(t *testing.T) {
		var b [1]byte
		if _, errno := sys.ProcessVMReadv(os.Getpid(), addressOf(make([]byte, 1)), b[:]); errno != 0 {
			t.Skip("process_vm_readv: ", errno)
		}
		f(t, new(Memory))
	})
	t.Run("proc mem", func(t *testing.T) { f(t, &Memory{noVMRead: true}) })
}

func TestCString(t *testing.T) {
	pages, addr := mapPages(t, 4)
	size := os.Getpagesize()
	bothWays(t, func(t *testing.T, m *Memory) {
		for _, from := range []int{0, 1, size - 1, size - 2, size - firstRead, size / 2} {
			for _, length := range []int{0, 1, 2, firstRead - 1, firstRead, firstRead + 1, size - 1, unix.PathMax - 1} {
				pages[from+length] = 0
				got, err := m.CString(os.Getpid(), addr+uint64(from))
				if err != nil || !bytes.Equal(got, pages[from:from+length]) {
					t.Errorf("%d bytes at %d: got %d bytes, %v", length, from, len(got), err)
				}
				pages[from+length] = 'x'
			}
		}
	})
}

// TestCStringTooLong: PATH_MAX counts the NUL.
func TestCStringTooLong(t *testing.T) {
	pages, addr := mapPages(t, 4)
	bothWays(t, func(t *testing.T, m *Memory) {
		for _, from := range []int{0, 1, pageSize - 1} {
			pages[from+unix.PathMax] = 0
			if got, err := m.CString(os.Getpid(), addr+uint64(from)); !errors.Is(err, ErrTooLong) {
				t.Errorf("a string of PATH_MAX bytes at %d: %d bytes, %v", from, len(got), err)
			}
			pages[from+unix.PathMax] = 'x'
		}
	})
}

// TestCStringAtEnd: what follows the string's page need not be there.
func TestCStringAtEnd(t *testing.T) {
	size := os.Getpagesize()
	for name, second := range map[string]func(*testing.T) []byte{
		"a page without access": func(t *testing.T) []byte {
			pages, _ := mapPages(t, 2)
			if err := unix.Mprotect(pages[size:], unix.PROT_NONE); err != nil {
				t.Fatal(err)
			}
			return pages
		},
		"a page beyond a file's end": func(t *testing.T) []byte {
			f := harness.OpenFile(t, t.TempDir()+"/f", os.O_CREATE|os.O_RDWR)
			if err := f.Truncate(int64(size)); err != nil {
				t.Fatal(err)
			}
			pages, err := unix.Mmap(int(f.Fd()), 0, 2*size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = unix.Munmap(pages) })
			return pages
		},
	} {
		t.Run(name, func(t *testing.T) {
			bothWays(t, func(t *testing.T, m *Memory) {
				if m.noVMRead && name == "a page without access" {
					t.Skip("/proc/PID/mem gives what the process itself may not read")
				}
				pages := second(t)
				page, addr := pages[:size], addressOf(pages)
				for i := range page {
					page[i] = 'y'
				}
				for _, length := range []int{0, 1, firstRead, firstRead + 1, unix.PathMax - 2} {
					from := size - length - 1
					page[size-1] = 0
					got, err := m.CString(os.Getpid(), addr+uint64(from))
					if err != nil || !bytes.Equal(got, page[from:size-1]) {
						t.Errorf("%d bytes before the page's end: got %d bytes, %v", length, len(got), err)
					}
					page[size-1] = 'y' // now the string runs into what is not there
					if got, err := m.CString(os.Getpid(), addr+uint64(from)); !errors.Is(err, ErrBadAddress) {
						t.Errorf("%d bytes and no end: got %d bytes, %v", length, len(got), err)
					}
				}
				if got, err := m.Bytes(os.Getpid(), addr+uint64(size-8), 8); err != nil || !bytes.Equal(got, page[size-8:]) {
					t.Errorf("the page's last bytes: %q, %v", got, err)
				}
				if _, err := m.Bytes(os.Getpid(), addr+uint64(size-8), 9); !errors.Is(err, ErrBadAddress) {
					t.Errorf("one byte more: %v", err)
				}
			})
		})
	}
}

func TestMemoryBytes(t *testing.T) {
	pages, addr := mapPages(t, 3)
	for i := range pages {
		pages[i] = byte(i * 7)
	}
	bothWays(t, func(t *testing.T, m *Memory) {
		for _, from := range []int{0, 1, pageSize - 3} {
			for _, n := range []int{0, 1, 24, pageSize, unix.PathMax} {
				got, err := m.Bytes(os.Getpid(), addr+uint64(from), n)
				if err != nil || !bytes.Equal(got, pages[from:from+n]) {
					t.Errorf("%d bytes at %d: got %d, %v", n, from, len(got), err)
				}
			}
		}
	})
}

func TestMemoryBadAddress(t *testing.T) {
	bothWays(t, func(t *testing.T, m *Memory) {
		for _, addr := range []uint64{0, 1, pageSize - 1, 1 << 47, 1<<63 - 1, 1 << 63, 1<<64 - pageSize, 1<<64 - 1} {
			if got, err := m.CString(os.Getpid(), addr); !errors.Is(err, ErrBadAddress) {
				t.Errorf("string at %#x: %q, %v", addr, got, err)
			}
			if got, err := m.Bytes(os.Getpid(), addr, 16); !errors.Is(err, ErrBadAddress) {
				t.Errorf("bytes at %#x: %q, %v", addr, got, err)
			}
		}
	})
}

// TestMemoryCallerGone reads of a process that has ended.
func TestMemoryCallerGone(t *testing.T) {
	c := exec.Command("true")
	if err := c.Run(); err != nil {
		t.Fatal(err)
	}
	bothWays(t, func(t *testing.T, m *Memory) {
		if got, err := m.CString(c.Process.Pid, 4096); !errors.Is(err, ErrCallerGone) {
			t.Errorf("of a process that has ended: %q, %v", got, err)
		}
	})
}

// TestMemoryOfZombie: a process that has ended and is not reaped has no memory.
func TestMemoryOfZombie(t *testing.T) {
	c := exec.Command("true")
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Wait() }()
	harness.Eventually(t, "the child ends", func() bool {
		st, err := ReadStatus(c.Process.Pid)
		return err == nil && st.Zombie
	})
	bothWays(t, func(t *testing.T, m *Memory) {
		if got, err := m.CString(c.Process.Pid, 4096); err == nil {
			t.Errorf("of a zombie: %q", got)
		}
	})
}

// TestMemoryBuffer: a result is valid until the next call, which may be short.
func TestMemoryBuffer(t *testing.T) {
	pages, addr := mapPages(t, 1)
	copy(pages, "first\x00second\x00")
	m := new(Memory)
	first, err := m.CString(os.Getpid(), addr)
	if err != nil || string(first) != "first" {
		t.Fatalf("%q, %v", first, err)
	}
	if second, err := m.CString(os.Getpid(), addr+6); err != nil || string(second) != "second" {
		t.Errorf("%q, %v", second, err)
	}
}
