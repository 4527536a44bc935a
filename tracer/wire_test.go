package tracer

import (
	"bytes"
	"encoding/binary"
	"errors"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
	"pgregory.net/rapid"
)

func socketPair(t testing.TB) (a, b int) {
	t.Helper()
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(pair[0]); unix.Close(pair[1]) })
	return pair[0], pair[1]
}

// anyString draws bytes: an argument need not be UTF-8.
var anyString = rapid.Map(rapid.SliceOfN(rapid.Byte(), 0, 40), func(b []byte) string { return string(b) })

func drawLaunch(t *rapid.T) *launch {
	strings := rapid.SliceOfN(anyString, 0, 8)
	instruction := rapid.Custom(func(t *rapid.T) bpf.RawInstruction {
		return bpf.RawInstruction{
			Op: rapid.Uint16().Draw(t, "op"), Jt: rapid.Uint8().Draw(t, "jt"),
			Jf: rapid.Uint8().Draw(t, "jf"), K: rapid.Uint32().Draw(t, "k"),
		}
	})
	return &launch{
		path: anyString.Draw(t, "path"), dir: anyString.Draw(t, "dir"),
		argv: strings.Draw(t, "argv"), env: strings.Draw(t, "env"),
		filter:  rapid.SliceOfN(instruction, 0, 20).Draw(t, "filter"),
		signals: inheritedSignals{mask: rapid.Uint64().Draw(t, "mask"), ignored: rapid.Uint64().Draw(t, "ignored")},
		umask:   rapid.Int32().Draw(t, "umask"), apart: rapid.Bool().Draw(t, "apart"), tracer: rapid.Uint32().Draw(t, "tracer"),
	}
}

func sameLaunch(a, b *launch) bool {
	return a.path == b.path && a.dir == b.dir && slices.Equal(a.argv, b.argv) && slices.Equal(a.env, b.env) &&
		slices.Equal(a.filter, b.filter) && a.signals == b.signals &&
		a.umask == b.umask && a.apart == b.apart && a.tracer == b.tracer
}

func TestLaunchRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := drawLaunch(t)
		b := want.encode()
		if n := binary.NativeEndian.Uint32(b); int(n) != len(b)-4 {
			t.Fatalf("the length says %d, the message has %d bytes", n, len(b)-4)
		}
		got, err := decodeLaunch(b[4:])
		if err != nil || !sameLaunch(got, want) {
			t.Fatalf("sent %+v, received %+v, %v", want, got, err)
		}
		for n := range len(b) - 4 { // each place at which it may be cut off
			if _, err := decodeLaunch(b[4 : 4+n]); !errors.Is(err, errShortMessage) {
				t.Fatalf("%d of %d bytes: %v", n, len(b)-4, err)
			}
		}
	})
}

// TestLaunchOverSocket sends a large one, in as many pieces as the socket takes.
func TestLaunchOverSocket(t *testing.T) {
	a, b := socketPair(t)
	want := &launch{path: "/bin/true", argv: []string{"true"}, env: []string{strings.Repeat("x", 1<<20), "", "A=\xff"}}
	sent := finished(func() {
		if err := writeFull(a, want.encode()); err != nil {
			t.Error(err)
		}
	})
	message, err := readMessage(b)
	if err != nil {
		t.Fatal(err)
	}
	await(t, "the sender", sent)
	if got, err := decodeLaunch(message); err != nil || !sameLaunch(got, want) {
		t.Errorf("received another one, %v", err)
	}
}

func TestPeerGone(t *testing.T) {
	whole := (&launch{path: "x"}).encode()
	for _, n := range []int{0, 3, 4, 5, len(whole) - 1} {
		a, b := socketPair(t)
		if err := writeFull(a, whole[:n]); err != nil {
			t.Fatal(err)
		}
		if err := unix.Shutdown(a, unix.SHUT_WR); err != nil {
			t.Fatal(err)
		}
		if _, err := readMessage(b); !errors.Is(err, errPeerGone) {
			t.Errorf("after %d of %d bytes: %v", n, len(whole), err)
		}
	}
	// Writing to one that is gone is an error, and no SIGPIPE.
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	unix.Close(pair[1])
	defer unix.Close(pair[0])
	if err := writeFull(pair[0], whole); !errors.Is(err, unix.EPIPE) {
		t.Errorf("write: %v, want EPIPE", err)
	}
	if n, fds, err := receiveDescriptors(pair[0], make([]byte, 1)); n != 0 || len(fds) > 0 || err != nil {
		t.Errorf("receive: %d bytes, %v, %v", n, fds, err)
	}
}

func TestFailureRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := failure{step: anyString.Draw(t, "step"), errno: unix.Errno(rapid.Uint32Range(0, 4095).Draw(t, "errno"))}
		b := want.encode()
		if b[0] != replyFailure {
			t.Fatalf("begins with %q", b[0])
		}
		if got, err := decodeFailure(b[5:]); err != nil || *got != want {
			t.Fatalf("sent %+v, received %+v, %v", want, got, err)
		}
	})
}

func TestDescriptorsOverSocket(t *testing.T) {
	a, b := socketPair(t)
	f := openFile(t, t.TempDir()+"/f", os.O_CREATE|os.O_RDWR)
	if err := sendDescriptors(a, 'L', int(f.Fd()), a); err != nil {
		t.Fatal(err)
	}
	var buf [1]byte
	n, fds, err := receiveDescriptors(b, buf[:])
	for _, fd := range fds {
		defer unix.Close(fd)
	}
	if err != nil || n != 1 || buf[0] != 'L' || len(fds) != 2 {
		t.Fatalf("received %d bytes %q, descriptors %v, %v", n, buf, fds, err)
	}
	for i, want := range []int{int(f.Fd()), a} {
		var sent, got unix.Stat_t
		if unix.Fstat(want, &sent) != nil || unix.Fstat(fds[i], &got) != nil || sent.Ino != got.Ino || sent.Dev != got.Dev {
			t.Errorf("descriptor %d is another file", i)
		}
		if flags, err := unix.FcntlInt(uintptr(fds[i]), unix.F_GETFD, 0); err != nil || flags&unix.FD_CLOEXEC == 0 {
			t.Errorf("descriptor %d is not close-on-exec: %#x, %v", i, flags, err)
		}
	}
}

// TestDecodeAllocates: a length that lies must not cost memory.
func TestDecodeAllocates(t *testing.T) {
	huge := bytes.Repeat([]byte{0xff}, 64)
	for at := 0; at <= 60; at += 4 { // each of the lengths before it is 0
		message := make([]byte, 64)
		copy(message[at:], huge)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		for range 100 {
			_, _ = decodeLaunch(message)
			_, _ = decodeFailure(message)
		}
		runtime.ReadMemStats(&after)
		if n := (after.TotalAlloc - before.TotalAlloc) / 100; n > 16<<10 {
			t.Errorf("a lying length at %d makes decoding allocate %d bytes", at, n)
		}
	}
}

// FuzzDecodeLaunch: whatever comes, decoding ends, and what it accepts comes back.
func FuzzDecodeLaunch(f *testing.F) {
	f.Add((&launch{path: "/bin/sh", dir: "/", argv: []string{"sh", "-c", ""}, env: []string{"A=b"}, filter: []bpf.RawInstruction{{Op: 6, K: 1}}}).encode()[4:])
	f.Add([]byte{})
	f.Add([]byte{0xff, 0xff, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, message []byte) {
		_, _ = decodeFailure(message)
		l, err := decodeLaunch(message)
		if err != nil {
			return
		}
		if again, err := decodeLaunch(l.encode()[4:]); err != nil || !sameLaunch(l, again) {
			t.Errorf("%+v comes back as %+v, %v", l, again, err)
		}
	})
}
