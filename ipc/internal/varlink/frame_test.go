package varlink

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"testing"

	"github.com/fstrace/fstrace/testdata/harness"
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

// TestFrames: messages come as they were sent, however they were cut, with the
// descriptors that were sent with them.
func TestFrames(t *testing.T) {
	a, b := connPair(t)
	files := harness.NullFiles(t, 3)
	long := strings.Repeat("x", 300_000)
	sent := make(chan error, 1)
	go func() {
		sent <- errors.Join(
			Write(a, []byte("one"), nil),
			Write(a, []byte("two"), files[:2]),
			Write(a, []byte(long), files[2:]),
			func() error { _, err := a.Write([]byte("fo")); return err }(),
			func() error { _, err := a.Write([]byte("ur\x00\x00five\x00")); return err }(),
			a.CloseWrite())
	}()
	r := NewReader(b, 1<<20, 2)
	defer r.Close()
	for _, want := range []struct {
		data  string
		files int
	}{{"one", 0}, {"two", 2}, {long, 1}, {"four", 0}, {"", 0}, {"five", 0}} {
		f, err := r.Next()
		if err != nil {
			t.Fatal(err)
		}
		if string(f.Data) != want.data || len(f.Files) != want.files {
			t.Errorf("message of %d bytes with %d descriptors, want %d with %d", len(f.Data), len(f.Files), len(want.data), want.files)
		}
		for _, fd := range f.Files {
			if flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err != nil || flags&unix.FD_CLOEXEC == 0 {
				t.Errorf("descriptor %d: flags %x, %v: want close-on-exec", fd, flags, err)
			}
		}
		f.CloseFiles()
	}
	if _, err := r.Next(); err != io.EOF {
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
		"too large":          {strings.Repeat("x", 2000), 1, true, ErrTooLarge},
		"too large, no end":  {strings.Repeat("x", 2000), 1, false, ErrTooLarge},
		"too many files":     {"x", 3, true, ErrTooManyFiles},
		"too many, no end":   {"x", 3, false, ErrTooManyFiles},
		"broken off":         {"x", 0, false, ErrBrokenOff},
		"broken off, files":  {"x", 2, false, ErrBrokenOff},
		"as many as allowed": {"x", 2, true, io.EOF},
	} {
		t.Run(name, func(t *testing.T) {
			a, b := connPair(t)
			files := harness.NullFiles(t, c.files)
			before := harness.OpenFiles(t)
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
			r := NewReader(b, 1000, 2)
			f, err := r.Next()
			for err == nil {
				f.CloseFiles()
				f, err = r.Next()
			}
			if err != c.want {
				t.Errorf("error %v, want %v", err, c.want)
			}
			r.Close()
			if after := harness.OpenFiles(t); after != before {
				t.Errorf("%d descriptors, were %d", after, before)
			}
		})
	}
}

// TestFramesLost: a receiver without descriptors to spare says so.
func TestFramesLost(t *testing.T) {
	a, b := connPair(t)
	files := harness.NullFiles(t, 4)
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	if err := Write(a, []byte("x"), files); err != nil {
		t.Fatal(err)
	}
	r := NewReader(b, 1000, MaxFiles)
	low := limit
	low.Cur = 1 // nothing new can be opened; what is open stays so
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &low); err != nil {
		t.Fatal(err)
	}
	_, err := r.Next()
	r.Close()
	if setErr := unix.Setrlimit(unix.RLIMIT_NOFILE, &limit); setErr != nil {
		t.Fatal(setErr)
	}
	if err != ErrFilesLost {
		t.Errorf("error %v, want %v", err, ErrFilesLost)
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
		r := NewReader(b, limit, 0)
		defer r.Close()
		want := bytes.Split(data, []byte{0})
		last := want[len(want)-1]
		for _, w := range want[:len(want)-1] {
			m, err := r.Next()
			if len(w) > limit {
				if err != ErrTooLarge {
					t.Fatalf("message of %d bytes: %v", len(w), err)
				}
				return
			}
			if err != nil || !bytes.Equal(m.Data, w) {
				t.Fatalf("message %q, %v, want %q", m.Data, err, w)
			}
		}
		_, err := r.Next()
		switch {
		case len(last) > limit && err == ErrTooLarge:
		case len(last) > 0 && len(last) <= limit && err == ErrBrokenOff:
		case len(last) == 0 && err == io.EOF:
		default:
			t.Fatalf("at the end, after %d bytes: %v", len(last), err)
		}
	})
}
