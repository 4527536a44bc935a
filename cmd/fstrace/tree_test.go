package main_test

import (
	"crypto/sha256"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// readTree describes every file below dir: its type and mode, and what it holds.
func readTree(t testing.TB, dir string) map[string]string {
	t.Helper()
	tree := map[string]string{}
	err := filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		content := ""
		switch {
		case d.Type() == fs.ModeSymlink:
			content, err = os.Readlink(name)
		case d.Type().IsRegular():
			var b []byte
			b, err = os.ReadFile(name)
			content = fmt.Sprintf("%d bytes %x", len(b), sha256.Sum256(b))
		}
		rel, _ := filepath.Rel(dir, name)
		tree[rel] = fmt.Sprintf("%v %s", info.Mode(), content)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return tree
}

// compareTrees reports files that only one of two runs left, or left different.
func compareTrees(t testing.TB, w *workload, bare, traced map[string]string) {
	t.Helper()
	names := map[string]bool{}
	for name := range bare {
		names[name] = true
	}
	for name := range traced {
		names[name] = true
	}
	for name := range names {
		if bare[name] != traced[name] && !w.mayDiffer(name) {
			t.Errorf("left in the directory: %s\n  bare:   %s\n  traced: %s", name, orNothing(bare[name]), orNothing(traced[name]))
		}
	}
}

// mayDiffer reports whether a file is one that two bare runs leave different too.
func (w *workload) mayDiffer(name string) bool {
	return slices.ContainsFunc(w.differs, func(pattern string) bool {
		if dir, ok := strings.CutSuffix(pattern, "/**"); ok {
			return strings.HasPrefix(name, dir+"/")
		}
		ok, err := path.Match(pattern, name)
		return ok && err == nil
	})
}

func orNothing(s string) string {
	if s == "" {
		return "nothing"
	}
	return s
}

func sortedLines(s string) []string {
	lines := strings.Split(s, "\n")
	slices.Sort(lines)
	return lines
}
