package manifest

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the table in docs/semantics.md")

// TestSemanticsDoc: the table in docs/semantics.md is the one in the code.
func TestSemanticsDoc(t *testing.T) {
	const (
		name       = "../../docs/semantics.md"
		begin, end = "<!-- table -->\n", "<!-- end -->\n"
	)
	doc, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(doc), begin)
	_, after, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		t.Fatalf("%s: no %q or %q", name, begin, end)
	}
	want := before + begin + "\n" + semanticsTable() + "\n" + end + after
	if want == string(doc) {
		return
	}
	if !*update {
		t.Fatalf("%s does not have the table of facts.go: make docs", name)
	}
	if err := os.WriteFile(name, []byte(want), 0o644); err != nil {
		t.Fatal(err)
	}
}

func semanticsTable() string {
	var b strings.Builder
	b.WriteString("| operation | calls | learns about a file | a directory | a symbolic link | an absent path | parent | then a file is | a directory | a symbolic link | an absent path | leaves |\n")
	b.WriteString("|---|---|---|---|---|---|---|---|---|---|---|---|\n")
	cell := func(f facts) string {
		if f == 0 {
			return "–"
		}
		return f.String()
	}
	done := func(e effect) string {
		if e == keeps {
			return ""
		}
		return e.String()
	}
	for _, r := range table {
		parent := ""
		if r.parent {
			parent = "yes"
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s | %s | %s | %s | %s | %s | %s | %s |\n",
			r.operation, r.calls, cell(r.file), cell(r.dir), cell(r.symlink), cell(r.absent), parent,
			done(r.does.file), done(r.does.dir), done(r.does.symlink), done(r.does.absent), r.after)
	}
	return b.String()
}

// TestRules: each operation has a row that is in the table, and learns at least whether
// something is there.
func TestRules(t *testing.T) {
	for _, r := range table {
		for what, f := range map[string]facts{"file": r.file, "dir": r.dir, "symlink": r.symlink, "absent": r.absent} {
			if f != 0 && !f.has(factState) {
				t.Errorf("%s of a %s learns %s and not whether it is there", r.operation, what, f)
			}
		}
		if strings.Contains(r.calls+r.after, "|") && !strings.Contains(r.calls, "`") {
			t.Errorf("%s: a bar would end the cell", r.operation)
		}
	}
}
