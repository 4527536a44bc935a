package manifest

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

// TestIdentify: identify says what lstat says, and of which mount a file is only where
// that can be trusted.
func TestIdentify(t *testing.T) {
	fs, dir := newOSFS(), t.TempDir()
	name := filepath.Join(dir, "file")
	if err := os.WriteFile(name, []byte("x"), 0o640); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(dir, "link")
	if err := os.Symlink("file", link); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{name, link, dir, "/proc/version", "/dev/null"} {
		id, err := fs.identify(path)
		if err != nil {
			t.Fatal(err)
		}
		info, err := fs.lstat(path)
		if err != nil {
			t.Fatal(err)
		}
		if path[:4] != "/pro" && !cmp.Equal(id.FileInfo, info) { // whose times are those of the look
			t.Errorf("%s: %s", path, cmp.Diff(info, id.FileInfo))
		}
		if id.mount != 0 && path != name {
			t.Errorf("%s is on a mount of which the times tell", path)
		}
	}
	if _, err := fs.identify(name + "x"); err != unix.ENOENT {
		t.Errorf("absent: %v", err)
	}
	first, err := fs.identify(name)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := newOSFS().identify(name); err != nil || again != first {
		t.Errorf("the same file is %v, then %v (%v)", first, again, err)
	}
}
