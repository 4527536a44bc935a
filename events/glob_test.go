package events

import (
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"
)

func TestGlob(t *testing.T) {
	tests := []struct {
		pattern string
		yes, no string // paths, separated by blanks
	}{
		{"/proc", "/proc /proc/1/maps", "/process /a/proc /"},
		{"/proc/", "/proc /proc/1", "/process"},
		{"/", "/ /a /a/b", ""},
		{"proc", "/proc /a/proc /a/proc/b", "/process /aproc"},
		{"*.c", "/a.c /x/y/a.c /x.c/y", "/a.cc /a/c"},
		{"/*.c", "/a.c /.c", "/x/a.c"},
		{"src/*.c", "/src/a.c /x/src/a.c", "/src/x/a.c /xsrc/a.c"},
		{"/a/**", "/a/b /a/b/c /a/", "/a /b"},
		{"/a/**/b", "/a/b /a/x/b /a/x/y/b/c", "/ab /a/xb"},
		{"/a**b", "/ab /axb /a/x/b /a/xb", "/a/x"},
		{"**/x", "/x /a/b/x", "/ax"},
		{"**x", "/x /a/bx", "/a/b"},
		{"**", "/ /a", ""},
		{"*", "/ /a /a/b", ""},
		{"/a*/*b", "/a/b /ax/xb", "/a/x/b /ab"},
		{"/**/a/**/b/*c", "/a/b/c /x/a/y/b/zc /a/b/x/b/c", "/a/c /a/b/x/c"},
		{"/a?c", "/abc /a\u00e9c /a\xffc", "/ac /a/c /abbc"},
		{"/[a-cx]", "/a /b /c /x", "/d /aa"},
		{"/x[!a-c]y", "/xdy /x\u00e9y /x\xffy", "/xay /x/y /xy"},
		{"/x[^a]y", "/xby", "/xay /x/y"},
		{"/[]x]", "/] /x", "/a"},
		{"/[!]]", "/a", "/]"},
		{"/[a-]", "/a /-", "/b"},
		{`/[\]\-]`, "/] /-", `/\ /a`},
		{"/[\u00e0-\u00ef]", "/\u00e9", "/e"},
		{"/{a,b}c", "/ac /bc", "/c /abc"},
		{"/{a,b{c,d},}x", "/ax /bcx /bdx /x", "/bx"},
		{"{/a,b}", "/a /b /x/b", "/x/a"},
		{"/a{,.d}/b", "/a/b /a.d/b", "/a.b"},
		{"/{a}", "/a", "/{a}"},
		{"/[{]a", "/{a", "/a"},
		{`/\*\?\[\{\\`, `/*?[{\`, "/xx"},
		{"/a,b", "/a,b", "/a"},
		{"/\xff*", "/\xff /\xffx", "/x"},
		{"/***", "/a /a/b", ""},
	}
	for _, tt := range tests {
		g, err := parseGlob(tt.pattern)
		if err != nil {
			t.Errorf("%s: %v", tt.pattern, err)
			continue
		}
		for _, path := range strings.Fields(tt.yes) {
			if !g.match(path) {
				t.Errorf("%s does not match %q", tt.pattern, path)
			}
		}
		for _, path := range strings.Fields(tt.no) {
			if g.match(path) {
				t.Errorf("%s matches %q", tt.pattern, path)
			}
		}
	}
}

func TestGlobErrors(t *testing.T) {
	for pattern, want := range map[string]string{
		"":                          "empty pattern",
		"/[a":                       `"[" without "]"`,
		"/[]":                       `"[" without "]"`,
		"/[!]":                      `"[" without "]"`,
		`/[a\]`:                     `"[" without "]"`,
		"/{a,b":                     `"{" without "}"`,
		"/a}":                       `"}" without "{"`,
		"/{a}}":                     `"}" without "{"`,
		`/a\`:                       `"\" at the end`,
		"/[z-a]":                    "range z-a is backwards",
		"/[\xff]":                   `"[...]" with bytes that are not UTF-8`,
		strings.Repeat("{a,b}", 11): "braces stand for more than 1024 patterns",
	} {
		if _, err := parseGlob(pattern); err == nil || err.Error() != want {
			t.Errorf("%s: got %v, want %s", pattern, err, want)
		}
	}
}

// The matcher agrees with a regular expression made of the same pattern: that
// tries every way to match.
func TestGlobAgreesWithRegexp(t *testing.T) {
	piece := rapid.SampledFrom([]string{"a", "b", "/", "/", "*", "**", "/**/", "?", "[ab]", "[!a]", "{a,/b}", "{,*}", "é"})
	part := rapid.SampledFrom([]string{"a", "b", "/", "é"})
	rapid.Check(t, func(t *rapid.T) {
		pattern := strings.Join(rapid.SliceOfN(piece, 1, 8).Draw(t, "pattern"), "")
		path := "/" + strings.Join(rapid.SliceOfN(part, 0, 12).Draw(t, "path"), "")
		g, err := parseGlob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		re := globRegexp(pattern)
		if got, want := g.match(path), re.MatchString(path); got != want {
			t.Fatalf("%s and %q: match %v, %v says %v", pattern, path, got, re, want)
		}
	})
}

// globRegexp knows the pieces of the test above only.
func globRegexp(pattern string) *regexp.Regexp {
	patterns := []string{pattern}
	for _, b := range [][3]string{{"{a,/b}", "a", "/b"}, {"{,*}", "", "*"}} {
		for i := 0; i < len(patterns); i++ {
			for strings.Contains(patterns[i], b[0]) {
				patterns = append(patterns, strings.Replace(patterns[i], b[0], b[2], 1))
				patterns[i] = strings.Replace(patterns[i], b[0], b[1], 1)
			}
		}
	}
	var all []string
	for _, p := range patterns {
		p = strings.TrimRight(p, "/")
		if !strings.HasPrefix(p, "/") && !strings.HasPrefix(p, "**") && p != "" {
			p = "**/" + p
		}
		if strings.HasPrefix(p, "**/") {
			p = "/" + p
		}
		p = regexp.MustCompile(`\*\*+`).ReplaceAllString(p, "**")
		re := ""
		for i := 0; i < len(p); {
			rest := p[i:]
			switch {
			case i > 0 && p[i-1] == '/' && strings.HasPrefix(rest, "**/"):
				re, i = re+"(?:.*/)?", i+3
			case strings.HasPrefix(rest, "**"):
				re, i = re+".*", i+2
			case rest[0] == '*':
				re, i = re+"[^/]*", i+1
			case rest[0] == '?':
				re, i = re+"[^/]", i+1
			case strings.HasPrefix(rest, "[!a]"):
				re, i = re+"[^a/]", i+4
			case rest[0] == '[':
				re, i = re+"[ab]", i+4
			default:
				r, n := utf8.DecodeRuneInString(rest)
				re, i = re+regexp.QuoteMeta(string(r)), i+n
			}
		}
		all = append(all, "(?:"+re+")")
	}
	return regexp.MustCompile("^(?:" + strings.Join(all, "|") + ")(?:/.*)?$")
}

func FuzzGlob(f *testing.F) {
	f.Add("/a/**/{b,[!c-d]}*?", "/a/x/b/c")
	f.Add(`\`, "/")
	f.Add("{[}]},a", "")
	f.Fuzz(func(t *testing.T, pattern, path string) {
		if g, err := parseGlob(pattern); err == nil {
			g.match(path)
		}
	})
}

func BenchmarkGlob(b *testing.B) {
	g, err := parseGlob("src/**/*.{c,h}")
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if g.match("/usr/include/x86_64-linux-gnu/bits/types/struct_timeval.h") {
			b.Fatal("it matches")
		}
	}
}
