package tracer

import (
	"os"
	"testing"

	"github.com/fstrace/fstrace/testdata/harness"
	"github.com/fstrace/fstrace/tracer/internal/shim"
	"golang.org/x/sys/unix"
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

func TestDescriptorsOverSocket(t *testing.T) {
	a, b := socketPair(t)
	f := harness.OpenFile(t, t.TempDir()+"/f", os.O_CREATE|os.O_RDWR)
	if err := shim.SendDescriptors(a, 'L', int(f.Fd()), a); err != nil {
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

func TestReceivePeerGone(t *testing.T) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(pair[0])
	unix.Close(pair[1])
	if n, fds, err := receiveDescriptors(pair[0], make([]byte, 1)); n != 0 || len(fds) > 0 || err != nil {
		t.Errorf("receive: %d bytes, %v, %v", n, fds, err)
	}
}
