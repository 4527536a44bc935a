package docs_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"
)

// The documentation and the comments use plain English and the terms of the glossary in
// architecture.md. This test keeps out phrases that made them hard to read. It is no
// substitute for reading: keep the list small.

// phrases are what must not occur, and what to write instead.
var phrases = []struct{ pattern, instead string }{
	{`tells whether`, "reports whether"},
	{`\b(is|are) told\b`, `name the actor: "is called with", "gets", "is notified of"`},
	{`\bsees to it\b`, `say what it does: "starts", "makes sure that"`},
	{`\botherwise than\b`, "differs from"},
	{`\ball else\b`, "everything else"},
	{`\b[Ww]hoever\b`, `"the caller", "any process that"`},
	{`\b[Tt]hereby\b`, "two sentences"},
	{`\bnot to be (had|borne|told|read|looked|kept|recorded)\b`, `"cannot be", "must not be"`},
	{`\bin the manner of\b`, "like"},
	{`\bthe way of the\b`, `"data flow", "the path of"`},
	{`\bwithout the \w+'s doing\b`, `"before the timer fired"`},
	{`\btakes? long to who\b`, `"to a caller that"`},
}

// docWidth is the width at which prose wraps in documents. Tables, code and the output of
// programs may be wider.
const docWidth = 100

// texts returns the files whose language is checked, by their paths from the root.
func texts(t *testing.T) []string {
	t.Helper()
	var list []string
	err := filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := d.Name()
		switch {
		case d.IsDir() && (name == ".git" || name == "bin" || name == "node_modules"):
			return filepath.SkipDir
		case name == "style_test.go":
		case strings.HasSuffix(name, ".go"), strings.HasSuffix(name, ".md"), strings.HasSuffix(name, ".varlink"), name == "Makefile":
			list = append(list, path)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(list) < 300 {
		t.Fatalf("only %d files: is this the repository?", len(list))
	}
	return list
}

func TestPhrases(t *testing.T) {
	expressions := make([]*regexp.Regexp, len(phrases))
	for i, p := range phrases {
		// A phrase may be broken over two lines of a comment or of a list.
		expressions[i] = regexp.MustCompile(strings.ReplaceAll(p.pattern, " ", `(?: |\s*\n[\t /#*]*)`))
	}
	for _, path := range texts(t) {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for i, e := range expressions {
			for _, at := range e.FindAllIndex(data, -1) {
				line := 1 + strings.Count(string(data[:at[0]]), "\n")
				t.Errorf("%s:%d: %q: write %s", path, line, data[at[0]:at[1]], phrases[i].instead)
			}
		}
	}
}

func TestWidth(t *testing.T) {
	for _, path := range texts(t) {
		if filepath.Ext(path) != ".md" {
			continue
		}
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		n, fenced := 0, false
		for line := range strings.Lines(string(data)) {
			n++
			line = strings.TrimRight(line, "\n")
			if strings.HasPrefix(line, "```") {
				fenced = !fenced
			}
			code := fenced || strings.HasPrefix(line, "    ") || strings.HasPrefix(line, "\t")
			if code || strings.HasPrefix(line, "|") || strings.HasPrefix(line, "#") || !strings.Contains(strings.TrimSpace(line), " ") {
				continue
			}
			if width := utf8.RuneCountInString(line); width > docWidth {
				t.Errorf("%s:%d: %d columns, want at most %d", path, n, width, docWidth)
			}
		}
	}
}

// commentWidth is the width at which comments of Go files wrap, with tabs of 4.
const commentWidth = 90

func TestCommentWidth(t *testing.T) {
	comment := regexp.MustCompile(`(?m)^[\t ]*// .*$`)
	for _, path := range texts(t) {
		if filepath.Ext(path) != ".go" {
			continue
		}
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, at := range comment.FindAllIndex(data, -1) {
			line := strings.ReplaceAll(string(data[at[0]:at[1]]), "\t", "    ")
			if strings.Contains(line, "// Code generated ") || !strings.Contains(strings.TrimLeft(line, " /"), " ") {
				continue
			}
			if width := utf8.RuneCountInString(line); width > commentWidth {
				t.Errorf("%s:%d: %d columns, want at most %d", path, 1+strings.Count(string(data[:at[0]]), "\n"), width, commentWidth)
			}
		}
	}
}

// TestWalks: each walk through the code in architecture.md is at most 8 files, which
// declare what it names.
func TestWalks(t *testing.T) {
	data, err := os.ReadFile("architecture.md")
	if err != nil {
		t.Fatal(err)
	}
	row, name := regexp.MustCompile("^\\| `([^`]+\\.go)` \\| (.*) \\|$"), regexp.MustCompile("`(\\w+)`")
	walks, files, names := 0, 0, 0
	for line := range strings.Lines(string(data)) {
		m := row.FindStringSubmatch(strings.TrimSuffix(line, "\n"))
		if m == nil {
			files = 0
			continue
		}
		if files++; files == 1 {
			walks++
		}
		if files > 8 {
			t.Errorf("%s is file %d of its walk", m[1], files)
		}
		source, err := os.ReadFile(filepath.Join("..", m[1]))
		if err != nil {
			t.Error(err)
			continue
		}
		text, _, _ := strings.Cut(m[2], "(") // the leaves come after it
		for _, n := range name.FindAllStringSubmatch(text, -1) {
			names++
			if !regexp.MustCompile(`(?m)^(func (\(.*?\) )?|type |\t)` + n[1] + `\b`).Match(source) {
				t.Errorf("%s does not declare %s", m[1], n[1])
			}
		}
	}
	if walks != 4 || names < 20 {
		t.Errorf("%d walks, %d names: does the pattern fit?", walks, names)
	}
}

// TestExamples: each public package has an example that runs or compiles as a test.
func TestExamples(t *testing.T) {
	found := 0
	for _, path := range texts(t) {
		if filepath.Base(path) != "doc.go" || strings.Contains(path, "/internal/") || strings.Contains(path, "/testdata/") {
			continue
		}
		found++
		data, err := os.ReadFile(filepath.Join(filepath.Dir(path), "example_test.go"))
		if err != nil || !strings.Contains(string(data), "\nfunc Example") {
			t.Errorf("%s: the package has no example in example_test.go", path)
		}
	}
	if found < 7 {
		t.Errorf("%d public packages", found)
	}
}

// TestPaths: files of the repository that documents name exist. They move.
func TestPaths(t *testing.T) {
	path := regexp.MustCompile("[(`]((?:tracer|events|ipc|seccomp|cmd|testdata|docs)/[\\w./*-]*\\w)/?[)`]")
	found := 0
	for _, name := range texts(t) {
		if filepath.Ext(name) != ".md" {
			continue
		}
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range path.FindAllSubmatch(data, -1) {
			found++
			if list, err := filepath.Glob(filepath.Join("..", string(m[1]))); err != nil || len(list) == 0 {
				t.Errorf("%s: there is no %s", name, m[1])
			}
		}
	}
	if found < 50 {
		t.Errorf("documents name %d files: does the pattern fit?", found)
	}
}
