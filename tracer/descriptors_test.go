package tracer

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/fstrace/fstrace/testdata/harness"
	"golang.org/x/sys/unix"
)

// inheritHelper prints what inheritAll makes of the descriptors that this process
// was started with.
func inheritHelper() {
	list, err := inheritAll()
	if err != nil {
		fmt.Println(err)
		return
	}
	for i, fd := range list {
		switch {
		case fd == closedFD:
			fmt.Printf("%d:closed ", i)
		default:
			fmt.Printf("%d:%d ", i, fd)
		}
	}
}

func TestInheritAll(t *testing.T) {
	f := harness.OpenFile(t, os.DevNull, os.O_RDWR)
	tests := []struct {
		name  string
		extra []*os.File // from 3 on; nil leaves a number free
		want  string
	}{
		{"standard descriptors", nil, "0:0 1:1 2:2"},
		{"one more", []*os.File{f}, "0:0 1:1 2:2 3:3"},
		{"several more", []*os.File{f, f, f}, "0:0 1:1 2:2 3:3 4:4 5:5"},
		{"one after a gap", []*os.File{nil, f}, "0:0 1:1 2:2"},
		{"a gap further on", []*os.File{f, f, nil, f}, "0:0 1:1 2:2 3:3 4:4"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			c := helperCommand("inherit")
			c.Stderr = os.Stderr
			c.ExtraFiles = test.extra
			out, err := c.Output()
			if got := strings.TrimSpace(string(out)); err != nil || got != test.want {
				t.Errorf("got %q, %v, want %q", got, err, test.want)
			}
		})
	}
}

func TestKeptDescriptors(t *testing.T) {
	f := harness.OpenFile(t, os.DevNull, os.O_RDWR) // close-on-exec, as all that Go opens
	const number = 200
	if err := unix.Dup3(int(f.Fd()), number, 0); err != nil {
		t.Fatal(err)
	}
	defer unix.Close(number)
	kept, err := KeptDescriptors()
	if err != nil || !slices.Contains(kept, number) || slices.Contains(kept, int(f.Fd())) {
		t.Errorf("kept are %v, %v; want %d and not %d", kept, err, number, f.Fd())
	}
}

func TestCmdDescriptors(t *testing.T) {
	f := harness.OpenFile(t, os.DevNull, os.O_RDWR)
	c := &Cmd{Stdout: f, ExtraFiles: []*os.File{nil, f}}
	list, err := c.descriptors()
	if err != nil {
		t.Fatal(err)
	}
	if len(list) != 5 || list[1] != f.Fd() || list[3] != closedFD || list[4] != f.Fd() {
		t.Errorf("got %v", list)
	}
	for _, i := range []int{0, 2} {
		if name, err := os.Readlink(fmt.Sprintf("/proc/self/fd/%d", list[i])); err != nil || name != os.DevNull {
			t.Errorf("descriptor %d is %q, %v, want %s", i, name, err, os.DevNull)
		}
	}
	c.streams.started(false)
	for _, i := range []int{0, 2} {
		if _, err := unix.FcntlInt(list[i], unix.F_GETFD, 0); err != unix.EBADF {
			t.Errorf("descriptor %d for the command's %d is still open: %v", list[i], i, err)
		}
	}
}
