package manifest

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestReadDir(t *testing.T) {
	dir := t.TempDir()
	if got, err := (osFS{}).readDir(dir); err != nil || len(got.names) > 0 {
		t.Errorf("empty: %q, %v", got.names, err)
	}
	var want []string
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	for i := range 500 { // more than one buffer
		name := fmt.Sprintf("%s-%d", strings.Repeat("x", i%200), i)
		want = append(want, "f:"+name)
		check(os.WriteFile(filepath.Join(dir, name), nil, 0o644))
	}
	for typed, create := range map[string]func(string) error{
		"d:sub":           func(s string) error { return os.Mkdir(s, 0o755) },
		"l:link":          func(s string) error { return os.Symlink("nowhere", s) },
		"o:fifo":          func(s string) error { return unix.Mkfifo(s, 0o644) },
		"f:caf\xe9":       func(s string) error { return os.WriteFile(s, nil, 0o644) },
		"f:...":           func(s string) error { return os.WriteFile(s, nil, 0o644) },
		"f:.hidden\nfile": func(s string) error { return os.WriteFile(s, nil, 0o644) },
	} {
		want = append(want, typed)
		check(create(filepath.Join(dir, nameOf(typed))))
	}
	got, err := (osFS{}).readDir(dir)
	check(err)
	sortNames(got.names)
	sortNames(want)
	if !slices.Equal(got.names, want) {
		t.Errorf("got %q\nwant %q", got.names, want)
	}
	if info, err := (osFS{}).lstat(dir); err != nil || info != got.info {
		t.Errorf("of the directory %+v, want %+v, %v", got.info, info, err)
	}
	for path, want := range map[string]error{"gone": unix.ENOENT, "...": unix.ENOTDIR} {
		if _, err := (osFS{}).readDir(filepath.Join(dir, path)); err != want {
			t.Errorf("%s: %v, want %v", path, err, want)
		}
	}
}
