package oracle

import (
	"reflect"
	"testing"
)

// The lines are strace 6.1's own.
func TestParseStrace(t *testing.T) {
	for _, test := range []struct {
		line string
		want tracedCall
	}{
		{
			`access("/etc/ld.so.preload", R_OK)      = -1 ENOENT (No such file or directory)`,
			tracedCall{"access", []string{`"/etc/ld.so.preload"`, "R_OK"}, "-1 ENOENT (No such file or directory)"},
		},
		{
			`openat(AT_FDCWD</a/we\74ir\76d (x), y>, "q\"u\no,t(e", O_RDONLY) = 3</a/q\"u\no,t(e>`,
			tracedCall{"openat", []string{`AT_FDCWD</a/we\74ir\76d (x), y>`, `"q\"u\no,t(e"`, "O_RDONLY"}, `3</a/q\"u\no,t(e>`},
		},
		{
			`execve("/bin/sh", ["sh", "-c", "echo ) = 0"], 0x7fff2e38 /* 35 vars, (all) */) = 0`,
			tracedCall{"execve", []string{`"/bin/sh"`, `["sh", "-c", "echo ) = 0"]`, "0x7fff2e38 /* 35 vars, (all) */"}, "0"},
		},
		{
			`statx(3<pipe:[15]>, "", AT_EMPTY_PATH, STATX_MODE, {stx_mask=1<<3|STATX_MODE, ...}) = 0`,
			tracedCall{"statx", []string{"3<pipe:[15]>", `""`, "AT_EMPTY_PATH", "STATX_MODE", "{stx_mask=1<<3|STATX_MODE, ...}"}, "0"},
		},
		{`vfork()                                 = 9009`, tracedCall{"vfork", nil, "9009"}},
		{`openat(AT_FDCWD</a>, "x", O_RDONLY <unfinished ...>) = ?`, tracedCall{"openat", []string{"AT_FDCWD</a>", `"x"`, "O_RDONLY <unfinished ...>"}, "?"}},
	} {
		got, err := parseLine(test.line)
		if err != nil {
			t.Errorf("%s: %v", test.line, err)
		}
		if !reflect.DeepEqual(got, test.want) {
			t.Errorf("%s:\n  got  %q\n  want %q", test.line, got, test.want)
		}
	}
	for _, line := range []string{"", "no call", `open("not closed) = 0`, `open("x", 0`, `open("x")`} {
		if got, err := parseLine(line); err == nil {
			t.Errorf("%q was read as %v", line, got)
		}
	}
}

func TestStraceFD(t *testing.T) {
	for arg, want := range map[string]string{
		`3</etc/a\74b\303\251>`: "/etc/a<bé", `AT_FDCWD</tmp/x\ny>`: "/tmp/x\ny",
		`3<pipe:[15]>`: "", `4<anon_inode:[eventpoll]>`: "", `5`: "", `6</memfd:x>(deleted)`: "", `7</tmp/gone>(deleted)`: "",
	} {
		if got, ok := descriptorArg(arg); got != want || ok != (want != "") {
			t.Errorf("%s: %q %v, want %q", arg, got, ok, want)
		}
	}
}
