package shim

import (
	"errors"
	"strings"
	"syscall"
	"testing"
)

// reads are both ways to read, the supervisor's and the shim's.
var reads = map[string]readFunc{"scheduled": syscall.Read, "raw": rawRead}

func socketPair(t *testing.T) (a, b int) {
	t.Helper()
	pair, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { syscall.Close(pair[0]); syscall.Close(pair[1]) })
	return pair[0], pair[1]
}

// TestLaunchOverSocket sends a large one, in as many pieces as the socket takes; to the
// raw reader, which holds up this whole program as long as there is nothing to be read, one
// that the socket takes at once.
func TestLaunchOverSocket(t *testing.T) {
	for name, test := range map[string]struct {
		read readFunc
		size int
	}{"scheduled": {syscall.Read, 1 << 20}, "raw": {rawRead, 1 << 14}} {
		t.Run(name, func(t *testing.T) {
			want := &Launch{Path: "/bin/true", Argv: []string{"true"}, Env: []string{strings.Repeat("x", test.size), "", "A=\xff"}}
			a, b := socketPair(t)
			sent := make(chan error, 1)
			go func() { sent <- WriteFull(a, want.Encode()) }()
			if name == "raw" {
				sent <- <-sent // it is there as a whole
			}
			message, err := readMessage(test.read, b)
			if err != nil {
				t.Fatal(err)
			}
			if err := <-sent; err != nil {
				t.Error(err)
			}
			if got, err := decodeLaunch(message); err != nil || !sameLaunch(got, want) {
				t.Errorf("received another one, %v", err)
			}
		})
	}
}

func TestPeerGone(t *testing.T) {
	whole := (&Launch{Path: "x"}).Encode()
	for name, read := range reads {
		for _, n := range []int{0, 3, 4, 5, len(whole) - 1} {
			a, b := socketPair(t)
			if err := WriteFull(a, whole[:n]); err != nil {
				t.Fatal(err)
			}
			if err := syscall.Shutdown(a, syscall.SHUT_WR); err != nil {
				t.Fatal(err)
			}
			if _, err := readMessage(read, b); !errors.Is(err, ErrPeerGone) {
				t.Errorf("%s, after %d of %d bytes: %v", name, n, len(whole), err)
			}
		}
	}
	// Writing to one that is gone is an error, and no SIGPIPE.
	a, b := socketPair(t)
	if err := syscall.Shutdown(b, syscall.SHUT_RD); err != nil {
		t.Fatal(err)
	}
	if err := WriteFull(a, whole); !errors.Is(err, syscall.EPIPE) {
		t.Errorf("write: %v, want EPIPE", err)
	}
}

func TestMessageTooLong(t *testing.T) {
	a, b := socketPair(t)
	if err := WriteFull(a, appendUint32(nil, maxMessage+1)); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadMessage(b); err == nil || !strings.Contains(err.Error(), "67108865 bytes") {
		t.Errorf("%v", err)
	}
}
