package events

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/fstrace/fstrace/testdata/harness"
)

// The files of this test exist, so that make finds them, and have each
// character that can be written, at the beginning, within and at the end of a
// name, by itself and beside those that need an escape.
func depfileNames() []string {
	names := []string{
		"plain.h", "two  spaces", " first", `back\slash`, `back\\slash`, `x2d\x2d`, `\first`, `a\ b`, `a\\ b`, `#a`, "a#b#", `$a`, "a$$b$",
		"$(a)b", "${a}", "a:b", "a: b", ":a", "a::b", "a=b", "a:=b", "a!=b", "!", "%", "a%b", "~", "~root", "a(b", "a(b)c", ")a", "[ab]", "[a-",
		"{a,b}", "a#: $b", "é漢", "latin1\xe9", "\xff", "-a", "+a", "@a", "a,b", ".hidden", "include", "a.PHONY", `a\ # b`, `a\bc:d e$f`,
		".SECONDARY", "a+=b", "export a",
	}
	const special = ` !#$%+,-./:=@_~(){}[]\`
	for _, a := range special {
		for _, b := range special {
			names = append(names, "q"+string(a)+string(b)+"r")
		}
	}
	return names
}

// writeDepfileFor makes files of these names in dir, and a rule for out with
// those that can be written. It returns their paths.
func writeDepfileFor(t *testing.T, dir, rule string, names []string, options ...DepfileOption) []string {
	t.Helper()
	var out bytes.Buffer
	d := NewDepfile(&out, []string{"out"}, options...)
	err := d.Begin(&Header{Cwd: dir})
	var paths []string
	for _, name := range names {
		path := filepath.Join(dir, name) // cleaned, as the kernel's paths are
		if slices.Contains(paths, path) {
			continue
		}
		if _, err := appendName(nil, path); err != nil {
			continue // that it is refused is tested elsewhere
		}
		paths = append(paths, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, nil, 0o644); err != nil && !errors.Is(err, os.ErrExist) {
			t.Fatal(err)
		}
		e := readOf(path)
		err = errors.Join(err, d.Event(&e))
	}
	if err = errors.Join(err, d.End(&Trailer{})); err != nil {
		t.Fatal(err)
	}
	if len(paths) < 300 {
		t.Fatalf("only %d names can be written", len(paths))
	}
	if err := os.WriteFile(rule, out.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	return paths
}

func compareNames(t *testing.T, tool string, got, want []string) {
	t.Helper()
	for _, name := range want {
		if !slices.Contains(got, name) {
			t.Errorf("%s does not read %q", tool, name)
		}
	}
	for _, name := range got {
		if !slices.Contains(want, name) {
			t.Errorf("%s reads %q, which was not written", tool, name)
		}
	}
}

func TestDepfileIsReadByMake(t *testing.T) {
	tool := harness.NeedTool(t, "make")
	dir, work := t.TempDir(), t.TempDir()
	want := writeDepfileFor(t, dir, filepath.Join(work, "out.d"), append(depfileNames(), "Bob's", `"x"`, "a&b", "a&", "a?b"))
	makefile := "all: out\ninclude out.d\nout:\n\ttouch out\n"
	if err := os.WriteFile(filepath.Join(work, "Makefile"), []byte(makefile), 0o644); err != nil {
		t.Fatal(err)
	}
	// Of a target that is there, verbose make names each prerequisite as it
	// understood it.
	if err := os.WriteFile(filepath.Join(work, "out"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(tool, "-r", "-R", "-n", "--debug=v", "out")
	cmd.Dir = work
	cmd.Env = append(os.Environ(), "LC_ALL=C", "MAKEFLAGS=")
	output, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("make: %v\n%s", err, output)
	}
	named := regexp.MustCompile(`Prerequisite '(.*)' is (?:older|newer) than target 'out'`)
	var got []string
	for line := range strings.Lines(string(output)) {
		if m := named.FindStringSubmatch(line); m != nil {
			got = append(got, m[1])
		}
	}
	compareNames(t, "make", got, want)
}

// With an empty rule for each, make goes on when they are gone.
func TestDepfilePhonyIsReadByMake(t *testing.T) {
	tool := harness.NeedTool(t, "make")
	for _, options := range [][]DepfileOption{nil, {PhonyPrerequisites()}} {
		dir, work := t.TempDir(), t.TempDir()
		paths := writeDepfileFor(t, dir, filepath.Join(work, "out.d"), append(depfileNames(), "Bob's", `"x"`, "a&b", "a?b"), options...)
		for _, path := range paths {
			if !strings.ContainsAny(path, "=%?[]") { // those have no rule
				if err := os.RemoveAll(path); err != nil {
					t.Fatal(err)
				}
			}
		}
		makefile := "out:\n\ttouch out\ninclude out.d\n"
		if err := os.WriteFile(filepath.Join(work, "Makefile"), []byte(makefile), 0o644); err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command(tool, "-r", "-R")
		cmd.Dir = work
		cmd.Env = append(os.Environ(), "LC_ALL=C", "MAKEFLAGS=")
		output, err := cmd.CombinedOutput()
		if got, want := err == nil, len(options) > 0; got != want {
			t.Errorf("with %d options: make succeeds: %v, want %v\n%s", len(options), got, want, output)
		}
	}
}

func TestDepfileIsReadByNinja(t *testing.T) {
	for _, options := range [][]DepfileOption{nil, {PhonyPrerequisites()}} {
		testDepfileIsReadByNinja(t, options)
	}
}

func testDepfileIsReadByNinja(t *testing.T, options []DepfileOption) {
	t.Helper()
	tool := harness.NeedTool(t, "ninja")
	dir, work := t.TempDir(), t.TempDir()
	want := writeDepfileFor(t, dir, filepath.Join(work, "made.d"), depfileNames(), options...)
	build := "rule r\n  command = cp made.d out.d && touch out\n  depfile = out.d\n  deps = gcc\nbuild out: r\n"
	if err := os.WriteFile(filepath.Join(work, "build.ninja"), []byte(build), 0o644); err != nil {
		t.Fatal(err)
	}
	ninja := func(args ...string) string {
		cmd := exec.Command(tool, args...)
		cmd.Dir = work
		output, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("ninja: %v\n%s", err, output)
		}
		return string(output)
	}
	ninja()
	var got []string
	for line := range strings.Lines(ninja("-t", "deps")) {
		if name, ok := strings.CutPrefix(line, "    "); ok {
			got = append(got, strings.TrimSuffix(name, "\n"))
		}
	}
	compareNames(t, "ninja", got, want)
	if output := ninja(); !strings.Contains(output, "no work to do") {
		t.Errorf("built again although nothing changed:\n%s", output)
	}
}
