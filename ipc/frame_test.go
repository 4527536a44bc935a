package ipc

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// connPair returns the two ends of a connection.
func connPair(t testing.TB) (a, b *net.UnixConn) {
	t.Helper()
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	ends := make([]*net.UnixConn, 2)
	for i, fd := range pair {
		f := os.NewFile(uintptr(fd), "pair")
		c, err := net.FileConn(f)
		f.Close()
		if err != nil {
			t.Fatal(err)
		}
		ends[i] = c.(*net.UnixConn)
		t.Cleanup(func() { c.Close() })
	}
	return ends[0], ends[1]
}

// nullFiles opens n descriptors, which are closed at the test's end.
func nullFiles(t testing.TB, n int) (list []int) {
	t.Helper()
	for range n {
		fd, err := unix.Open(os.DevNull, unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { unix.Close(fd) })
		list = append(list, fd)
	}
	return list
}

// TestFrames: messages come as they were sent, however they were cut, with the
// descriptors that were sent with them.
func TestFrames(t *testing.T) {
	a, b := connPair(t)
	files := nullFiles(t, 3)
	long := strings.Repeat("x", 300_000)
	sent := make(chan error, 1)
	go func() {
		sent <- errors.Join(
			writeFrame(a, []byte("one"), nil),
			writeFrame(a, []byte("two"), files[:2]),
			writeFrame(a, []byte(long), files[2:]),
			func() error { _, err := a.Write([]byte("fo")); return err }(),
			func() error { _, err := a.Write([]byte("ur\x00\x00five\x00")); return err }(),
			a.CloseWrite())
	}()
	r := newFrameReader(b, 1<<20, 2)
	defer r.close()
	for _, want := range []struct {
		data  string
		files int
	}{{"one", 0}, {"two", 2}, {long, 1}, {"four", 0}, {"", 0}, {"five", 0}} {
		f, err := r.next()
		if err != nil {
			t.Fatal(err)
		}
		if string(f.data) != want.data || len(f.files) != want.files {
			t.Errorf("message of %d bytes with %d descriptors, want %d with %d", len(f.data), len(f.files), len(want.data), want.files)
		}
		for _, fd := range f.files {
			if flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err != nil || flags&unix.FD_CLOEXEC == 0 {
				t.Errorf("descriptor %d: flags %x, %v: want close-on-exec", fd, flags, err)
			}
		}
		f.closeFiles()
	}
	if _, err := r.next(); err != io.EOF {
		t.Errorf("at the end: %v", err)
	}
	if err := <-sent; err != nil {
		t.Fatal(err)
	}
}

// TestFramesRefused: what is too much ends the stream, and no descriptor of it stays
// open.
func TestFramesRefused(t *testing.T) {
	for name, c := range map[string]struct {
		data  string
		files int
		whole bool // the message is sent to its end
		want  error
	}{
		"too large":          {strings.Repeat("x", 2000), 1, true, errTooLarge},
		"too large, no end":  {strings.Repeat("x", 2000), 1, false, errTooLarge},
		"too many files":     {"x", 3, true, errTooManyFiles},
		"too many, no end":   {"x", 3, false, errTooManyFiles},
		"broken off":         {"x", 0, false, errBrokenOff},
		"broken off, files":  {"x", 2, false, errBrokenOff},
		"as many as allowed": {"x", 2, true, io.EOF},
	} {
		t.Run(name, func(t *testing.T) {
			a, b := connPair(t)
			files := nullFiles(t, c.files)
			before := openFiles(t)
			data := []byte(c.data)
			if c.whole {
				data = append(data, 0)
			}
			var oob []byte
			if len(files) > 0 {
				oob = unix.UnixRights(files...)
			}
			if _, _, err := a.WriteMsgUnix(data, oob, nil); err != nil {
				t.Fatal(err)
			}
			if err := a.CloseWrite(); err != nil {
				t.Fatal(err)
			}
			r := newFrameReader(b, 1000, 2)
			f, err := r.next()
			for err == nil {
				f.closeFiles()
				f, err = r.next()
			}
			if err != c.want {
				t.Errorf("error %v, want %v", err, c.want)
			}
			r.close()
			if after := openFiles(t); after != before {
				t.Errorf("%d descriptors, were %d", after, before)
			}
		})
	}
}

// TestFramesLost: a receiver without descriptors to spare says so.
func TestFramesLost(t *testing.T) {
	a, b := connPair(t)
	files := nullFiles(t, 4)
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	if err := writeFrame(a, []byte("x"), files); err != nil {
		t.Fatal(err)
	}
	r := newFrameReader(b, 1000, kernelFiles)
	low := limit
	low.Cur = 1 // nothing new can be opened; what is open stays so
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &low); err != nil {
		t.Fatal(err)
	}
	_, err := r.next()
	r.close()
	if setErr := unix.Setrlimit(unix.RLIMIT_NOFILE, &limit); setErr != nil {
		t.Fatal(setErr)
	}
	if err != errFilesLost {
		t.Errorf("error %v, want %v", err, errFilesLost)
	}
}

// FuzzFrames: any bytes, cut anywhere, give the messages between the NULs.
func FuzzFrames(f *testing.F) {
	f.Add([]byte("one\x00two\x00"), uint(1))
	f.Add([]byte("\x00\x00"), uint(3))
	f.Add([]byte(`{"method":"x"}`), uint(5))
	f.Fuzz(func(t *testing.T, data []byte, size uint) {
		a, b := connPair(t)
		go func() {
			for rest := data; len(rest) > 0; {
				n := min(int(size%4096)+1, len(rest))
				if _, err := a.Write(rest[:n]); err != nil {
					return
				}
				rest = rest[n:]
			}
			_ = a.CloseWrite()
		}()
		if len(data) == 0 {
			a.Close()
		}
		const limit = 512
		r := newFrameReader(b, limit, 0)
		defer r.close()
		want := bytes.Split(data, []byte{0})
		last := want[len(want)-1]
		for _, w := range want[:len(want)-1] {
			m, err := r.next()
			if len(w) > limit {
				if err != errTooLarge {
					t.Fatalf("message of %d bytes: %v", len(w), err)
				}
				return
			}
			if err != nil || !bytes.Equal(m.data, w) {
				t.Fatalf("message %q, %v, want %q", m.data, err, w)
			}
		}
		_, err := r.next()
		switch {
		case len(last) > limit && err == errTooLarge:
		case len(last) > 0 && len(last) <= limit && err == errBrokenOff:
		case len(last) == 0 && err == io.EOF:
		default:
			t.Fatalf("at the end, after %d bytes: %v", len(last), err)
		}
	})
}

// FuzzCall: the decoder of calls and of what they carry takes anything.
func FuzzCall(f *testing.F) {
	f.Add([]byte(`{"method":"io.fstrace.v1.Run","parameters":{"argv":["a"],"env":[],"cwd":"/"},"more":true}`))
	f.Add([]byte(`{"method":"io.fstrace.v1.Run","parameters":{"argvBase64":["//4="],"env":[],"cwd":"/","umask":18,"options":{"timeoutMs":9223372036854775807}}}`))
	f.Add([]byte(`{"method":"","parameters":null}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := decodeCall(data)
		if err != nil {
			return
		}
		if c.Method == "" || c.More && c.Oneway {
			t.Fatalf("call %+v", c)
		}
		var run wireRun
		if err := decodeParameters(c.Parameters, &run); err != nil {
			if !errors.Is(err, ErrInvalidParameter) {
				t.Fatalf("error %v", err)
			}
			return
		}
		if run.Options == nil {
			run.Options = &Options{}
		}
		cmd, err := run.command()
		if err != nil {
			return
		}
		if len(cmd.Args) == 0 || cmd.Env == nil || cmd.Timeout < 0 || cmd.KillAfter < 0 || cmd.Dir[0] != '/' {
			t.Fatalf("command %+v", cmd)
		}
	})
}
