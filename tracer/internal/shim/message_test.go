package shim

import (
	"encoding/binary"
	"errors"
	"syscall"
	"testing"

	"pgregory.net/rapid"
)

// anyString draws bytes: an argument need not be UTF-8.
var anyString = rapid.Map(rapid.SliceOfN(rapid.Byte(), 0, 40), func(b []byte) string { return string(b) })

func TestFailureRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := Failure{Step: anyString.Draw(t, "step"), Errno: syscall.Errno(rapid.Uint32Range(1, 4095).Draw(t, "errno"))}
		b := want.encode()
		if n := binary.NativeEndian.Uint32(b[1:]); b[0] != ReplyFailure || int(n) != len(b)-5 {
			t.Fatalf("begins with %q, the length says %d, the message has %d bytes", b[0], n, len(b)-5)
		}
		if got, err := DecodeFailure(b[5:]); err != nil || *got != want {
			t.Fatalf("sent %+v, received %+v, %v", want, got, err)
		}
		for n := range errnoSize {
			if _, err := DecodeFailure(b[5 : 5+n]); !errors.Is(err, errShortMessage) {
				t.Fatalf("%d bytes: %v", n, err)
			}
		}
	})
}

// TestFailureErrno: what is no error number is not taken for one.
func TestFailureErrno(t *testing.T) {
	for _, n := range []int64{0, 1, 3, -4096, -1 << 62} {
		if f, err := DecodeFailure(binary.NativeEndian.AppendUint64([]byte("step"), uint64(n))); err == nil {
			t.Errorf("%d is taken for %v", n, f.Errno)
		}
	}
}
