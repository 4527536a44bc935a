package oracle

import (
	"os"
	"testing"

	"github.com/fstrace/fstrace/testdata/harness"
)

func TestKernelPath(t *testing.T) {
	dir := t.TempDir()
	harness.Mkdir(t, dir+"/a/b")
	harness.WriteFile(t, dir+"/a/file", "")
	for link, target := range map[string]string{
		"/l": "a/b", "/abs": dir + "/a", "/a/b/up": "..", "/gone": "no/where", "/loop": "loop",
	} {
		if err := os.Symlink(target, dir+link); err != nil {
			t.Fatal(err)
		}
	}
	for given, want := range map[string]string{
		"a/./b//file": "/a/b/file", "a/b/../x": "/a/x", "l/../file": "/a/file", "l/up/file": "/a/file",
		"l": "/l", "l/": "/l", "l/./": "/l", "abs/b": "/a/b", "a/no/x/y": "/a/no/x/y", "a/no/x/../y": "/a/no",
		"gone/x": "/no/where/x", "gone": "/gone", ".": "", "a/..": "", "../../../../.." + dir + "/l": "/l",
	} {
		if got := kernelPath(dir, given); got != dir+want {
			t.Errorf("%s: %s, want %s", given, got, dir+want)
		}
	}
	for given, want := range map[string]string{
		"/proc/self/status": "/proc/PID/status", "/proc/71/task/72/stat": "/proc/PID/task/TID/stat",
		"/proc/thread-self/fd/3": "/proc/PID/task/TID/fd/3", "/dev/fd/3": "/proc/PID/fd/3", "/proc/self": "/proc/PID",
	} {
		if got := kernelPath(dir, given); got != want {
			t.Errorf("%s: %s, want %s", given, got, want)
		}
	}
}
