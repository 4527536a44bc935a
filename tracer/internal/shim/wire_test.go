package shim

import (
	"encoding/binary"
	"errors"
	"strings"
	"syscall"
	"testing"
)

func socketPair(t *testing.T) (a, b int) {
	t.Helper()
	pair, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { syscall.Close(pair[0]); syscall.Close(pair[1]) })
	return pair[0], pair[1]
}

func TestReadMessage(t *testing.T) {
	want := strings.Repeat("x", maxMessage)
	a, b := socketPair(t)
	sent := make(chan error, 1)
	go func() { sent <- WriteFull(a, append(binary.NativeEndian.AppendUint32(nil, maxMessage), want...)) }()
	got, err := ReadMessage(b)
	if err != nil || string(got) != want {
		t.Errorf("received %d bytes, %v", len(got), err)
	}
	if err := <-sent; err != nil {
		t.Error(err)
	}
}

func TestPeerGone(t *testing.T) {
	whole := []byte{3, 0, 0, 0, 'a', 'b', 'c'}
	for _, n := range []int{0, 3, 4, 5, len(whole) - 1} {
		a, b := socketPair(t)
		if err := WriteFull(a, whole[:n]); err != nil {
			t.Fatal(err)
		}
		if err := syscall.Shutdown(a, syscall.SHUT_WR); err != nil {
			t.Fatal(err)
		}
		if _, err := ReadMessage(b); !errors.Is(err, ErrPeerGone) {
			t.Errorf("after %d of %d bytes: %v", n, len(whole), err)
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
	if err := WriteFull(a, binary.NativeEndian.AppendUint32(nil, maxMessage+1)); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadMessage(b); err == nil || !strings.Contains(err.Error(), "65537 bytes") {
		t.Errorf("%v", err)
	}
}
