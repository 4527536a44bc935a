package programs

import (
	"path"
	"slices"
	"strings"
	"testing"
)

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
