package shim

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"runtime"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

func TestImage(t *testing.T) {
	code, err := stubCode()
	if err != nil || len(code) < 100 || len(code) > 1000 {
		t.Fatalf("the stub has %d bytes, %v", len(code), err)
	}
	for arch, machine := range map[string]elf.Machine{"amd64": elf.EM_X86_64, "arm64": elf.EM_AARCH64} {
		f, err := elf.NewFile(bytes.NewReader(image(arch, code)))
		if err != nil {
			t.Fatal(err)
		}
		if f.Machine != machine || f.Type != elf.ET_EXEC || f.Class != elf.ELFCLASS64 || f.Entry != imageBase+imageHeaders || len(f.Progs) != 1 {
			t.Errorf("%s: %+v", arch, f.FileHeader)
			continue
		}
		p := f.Progs[0]
		if p.Type != elf.PT_LOAD || p.Flags != elf.PF_R|elf.PF_X || p.Vaddr != imageBase || p.Off != 0 || p.Filesz != imageHeaders+uint64(len(code)) || p.Memsz != p.Filesz {
			t.Errorf("%s: %+v", arch, p.ProgHeader)
		}
	}
}

// started starts the stub as a child, with this program's end of its socket. It is the
// last of its descriptors, of which there are more than a few.
func started(t *testing.T) (pid, control int) {
	t.Helper()
	a, b := socketPair(t)
	var files []uintptr
	for range 12 {
		files = append(files, uintptr(b), ^uintptr(0))
	}
	pid, err := ForkExec(&syscall.ProcAttr{Files: append(files, uintptr(b))})
	if err != nil {
		t.Fatal(err)
	}
	return pid, a
}

// status waits for a child's end.
func status(t *testing.T, pid int) (ws unix.WaitStatus) {
	t.Helper()
	for {
		if _, err := unix.Wait4(pid, &ws, 0, nil); err != unix.EINTR {
			if err != nil {
				t.Fatal(err)
			}
			return ws
		}
	}
}

// TestStub has the stub itself run a program that uses all that an op can do.
func TestStub(t *testing.T) {
	b := builder{program: newProgram(0)}
	bad, copied, moved, right, compared := b.label(), b.label(), b.label(), b.label(), b.label()
	text := b.put([]byte("0123456789"))
	b.add(op{call: syscall.SYS_GETPID, result: argument(copied, 0), failed: bad})
	b.place(copied) // a result as an argument: the process group of the process itself
	b.add(op{call: syscall.SYS_GETPGID, args: []operand{number(0)}, failed: bad})
	b.add(op{call: syscall.SYS_CLOSE, args: []operand{number(9999)}, done: bad, failed: moved})
	b.jump(bad)
	b.place(moved) // no call: a number goes to memory
	b.add(op{call: noCall, args: []operand{number(uint64('A')<<8 | 'B')}, result: text.plus(1), failed: bad})
	b.add(op{call: noCall, args: []operand{socket()}, result: argument(compared, 0), failed: bad})
	b.add(op{call: syscall.SYS_CLOSE, args: []operand{number(9999)}, failed: bad, cases: []branch{
		{-int64(syscall.EINVAL), bad},
		{-int64(syscall.EBADF), right},
	}})
	b.jump(bad)
	b.place(bad)
	b.exit()
	b.place(right)
	b.place(compared) // six arguments, the first the socket by its number
	b.add(op{call: syscall.SYS_SENDTO, args: []operand{number(0), text, number(10), number(syscall.MSG_NOSIGNAL), number(0), number(0)}, done: 0, failed: bad, cases: []branch{{9, bad}}})
	b.add(op{call: syscall.SYS_EXIT_GROUP, args: []operand{number(42)}})
	message := b.encode()

	for _, pieces := range []int{len(message), 7, 8, 9, 100} {
		pid, control := started(t)
		for at := 0; at < len(message); at += pieces {
			if err := WriteFull(control, message[at:min(at+pieces, len(message))]); err != nil {
				t.Fatal(err)
			}
			if pieces < len(message) {
				runtime.Gosched()
			}
		}
		var got [10]byte
		if err := ReadFull(control, got[:]); err != nil || string(got[:]) != "0BA\x00\x00\x00\x00\x00\x009" {
			t.Errorf("in pieces of %d: sent %q, %v", pieces, got, err)
		}
		if ws := status(t, pid); ws.ExitStatus() != 42 {
			t.Errorf("in pieces of %d: ended with %#x", pieces, int(ws))
		}
	}
}

// TestStubPeerGone: a stub without a supervisor ends.
func TestStubPeerGone(t *testing.T) {
	whole := (&Launch{Path: "/bin/true", Argv: []string{"true"}}).Encode()
	for _, n := range []int{0, 5, 8, 9, len(whole) - 1} {
		pid, control := started(t)
		if err := WriteFull(control, whole[:n]); err != nil {
			t.Fatal(err)
		}
		if err := unix.Shutdown(control, unix.SHUT_WR); err != nil {
			t.Fatal(err)
		}
		if ws := status(t, pid); ws.ExitStatus() != ExitFailed {
			t.Errorf("after %d bytes: ended with %#x", n, int(ws))
		}
	}
	// A size that no memory has.
	pid, control := started(t)
	if err := WriteFull(control, binary.NativeEndian.AppendUint64(nil, 1<<62)); err != nil {
		t.Fatal(err)
	}
	if ws := status(t, pid); ws.ExitStatus() != ExitFailed {
		t.Errorf("with a size that is too large: ended with %#x", int(ws))
	}
}
