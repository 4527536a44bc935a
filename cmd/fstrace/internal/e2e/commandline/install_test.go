package commandline

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fstrace/fstrace/testdata/harness"
)

// TestInstall: make install puts programs that run, completions that the shells accept,
// and the units where a package has them, and nothing else.
func TestInstall(t *testing.T) {
	dest, out := t.TempDir(), t.TempDir()
	install := exec.Command(harness.NeedTool(t, "make"), "-s", "install", "DESTDIR="+dest, "PREFIX=/usr", "OUT="+out)
	install.Dir = harness.Source()
	if text, err := install.CombinedOutput(); err != nil {
		t.Fatalf("make install: %v\n%s", err, text)
	}
	var got []string
	err := filepath.WalkDir(dest, func(path string, e os.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		info, err := e.Info()
		got = append(got, fmt.Sprintf("%o %s", info.Mode().Perm(), strings.TrimPrefix(path, dest)))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"755 /usr/bin/fstrace", "755 /usr/bin/fstrace-cache", "755 /usr/bin/fstraced",
		"644 /usr/lib/systemd/system/fstraced.service", "644 /usr/lib/systemd/system/fstraced.socket",
		"644 /usr/lib/systemd/user/fstraced.service", "644 /usr/lib/systemd/user/fstraced.socket",
		"644 /usr/share/bash-completion/completions/fstrace", "644 /usr/share/fish/vendor_completions.d/fstrace.fish",
		"644 /usr/share/zsh/site-functions/_fstrace",
	}
	if diff := harness.LineDiff(want, got); diff != "" {
		t.Errorf("installed:\n%s", diff)
	}
	for _, argv := range [][]string{
		{dest + "/usr/bin/fstrace", "-q", "-o", os.DevNull, "--", "true"},
		{dest + "/usr/bin/fstraced", "--version"},
		{dest + "/usr/bin/fstrace", "cache", "--version"},
		{harness.NeedTool(t, "bash"), "-n", dest + "/usr/share/bash-completion/completions/fstrace"},
	} {
		if text, err := exec.Command(argv[0], argv[1:]...).CombinedOutput(); err != nil {
			t.Errorf("%q: %v\n%s", argv, err, text)
		}
	}
}
