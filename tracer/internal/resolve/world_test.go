package resolve

import (
	"os"
	"testing"

	"github.com/fstrace/fstrace/tracer/internal/procfs"
)

// TestDescriptorDirsLetGo: a session that unmounts /proc is not in its own tracer's way.
func TestDescriptorDirsLetGo(t *testing.T) {
	var p procfs.Reader
	r := ForSession(&World{served: Served{file: -1}}, nil, &p)
	count := func() int {
		entries, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Fatal(err)
		}
		return len(entries)
	}
	before := count()
	for range 16 {
		if _, err := p.Descriptor(os.Getpid(), 0); err != nil {
			t.Fatal(err)
		}
	}
	if count() != before+1 {
		t.Fatal("no handle")
	}
	r.ForeseeMount(os.Getpid(), false, true)
	r.Close()
	if count() != before {
		t.Error("kept")
	}
}
