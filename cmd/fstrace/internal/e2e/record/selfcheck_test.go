// Package record tests what the record has: programs that know their own trace, and each
// reason for which a record is incomplete.
package record

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/fstrace/fstrace/testdata/harness"
	"github.com/google/go-cmp/cmp"
)

// skipStatus is how a self-checking program says that it cannot run here.
const skipStatus = 77

// A variant is a way of building a self-checking program: another C library
// makes other calls, another ABI has other numbers.
type variant struct {
	name  string
	build func(t *testing.T, source, exe string) *exec.Cmd
	ext   string // of the sources it builds
}

var variants = []variant{
	{"glibc", compile("gcc", "-pthread"), ".c"},
	{"musl", compile("musl-gcc", "-static"), ".c"},
	{"i386", compileI386, ".c"},
	{"go", compileGo, ".go"},
}

// The programs in testdata/selfcheck print the trace that they expect of
// themselves (selfcheck.h): it is what the record says, line by line.
func TestSelfCheck(t *testing.T) {
	fstrace := harness.Fstrace(t)
	dir := harness.Source("testdata", "selfcheck")
	for _, v := range variants {
		sources, err := filepath.Glob(filepath.Join(dir, "*"+v.ext))
		if err != nil {
			t.Fatal(err)
		}
		if len(sources) == 0 {
			t.Fatalf("%s: no programs", dir)
		}
		for _, source := range sources {
			name := strings.TrimSuffix(filepath.Base(source), v.ext)
			t.Run(v.name+"/"+name, func(t *testing.T) {
				t.Parallel()
				exe := filepath.Join(harness.OpenDir(t), name)
				build := v.build(t, source, exe)
				if out, err := build.CombinedOutput(); err != nil {
					t.Fatalf("%s: %v\n%s", build, err, out)
				}
				if os.Getuid() != 0 {
					t.Run("user", func(t *testing.T) { selfCheck(t, fstrace, exe, nil) })
					return
				}
				t.Run("root", func(t *testing.T) { selfCheck(t, fstrace, exe, nil) })
				t.Run("nobody", func(t *testing.T) { selfCheck(t, fstrace, exe, harness.Nobody) })
			})
		}
	}
}

// selfCheck runs a self-checking program under fstrace, as that user, and
// compares its output with its record.
func selfCheck(t *testing.T, fstrace, exe string, user *syscall.Credential) {
	base := harness.OpenDir(t)
	if user != nil {
		if err := os.Chown(base, int(user.Uid), int(user.Gid)); err != nil {
			t.Fatal(err)
		}
	}
	file := filepath.Join(base, "record.jsonl")

	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, fstrace, "-q", "-f", "jsonl", "-o", file, "--", exe, filepath.Join(base, "scratch"))
	cmd.Dir = base
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: user}
	cmd.WaitDelay = time.Second
	err := cmd.Run()
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) && exit.ExitCode() == skipStatus {
		t.Skip(strings.TrimSpace(stderr.String()))
	}
	if err != nil || stderr.Len() > 0 {
		t.Fatalf("%s: %v\n%s", cmd, err, &stderr)
	}

	want := parseExpected(t, stdout.String())
	r := harness.ReadRecord(t, file)
	checkSeq(t, r)
	reasons := r.Reasons()
	if want.deep && slices.Contains(reasons, "unresolved_path") {
		return
	}
	if diff := cmp.Diff(want.incomplete, harness.Distinct(reasons)); diff != "" {
		t.Errorf("reasons for being incomplete (-want +got):\n%s\n%v", diff, r.Trailer["incomplete"])
	}
	if r.Complete() != (len(reasons) == 0) {
		t.Errorf("complete is %v with %d reasons why not", r.Trailer["complete"], len(reasons))
	}
	shorten := strings.NewReplacer(base+"/scratch", "~").Replace
	if diff := harness.LineDiff(want.lines, want.render(t, r)); diff != "" {
		t.Errorf("trace (-want +got):\n%s", shorten(diff))
	}
}

// checkSeq checks that the events are numbered from 1 without a gap.
func checkSeq(t *testing.T, r *harness.Record) {
	t.Helper()
	for i, e := range r.Events {
		if e.Seq != i+1 {
			t.Fatalf("event %d has seq %d", i+1, e.Seq)
		}
	}
}

// compile builds with a C compiler.
func compile(compiler string, flags ...string) func(*testing.T, string, string) *exec.Cmd {
	return func(t *testing.T, source, exe string) *exec.Cmd {
		t.Helper()
		args := append([]string{"-Wall", "-Wextra", "-o", exe, source}, flags...)
		return exec.Command(harness.NeedTool(t, compiler), args...)
	}
}

// compileI386 builds 32-bit programs, where this machine runs any.
func compileI386(t *testing.T, source, exe string) *exec.Cmd {
	t.Helper()
	if runtime.GOARCH != "amd64" {
		t.Skip("i386 programs run on x86-64")
	}
	gcc := harness.NeedTool(t, "gcc")
	if err := canBuildI386(); err != nil {
		const why = "needs gcc -m32, with its C library (gcc-multilib): %v"
		if os.Getenv("CI") == "true" {
			t.Fatalf(why, err)
		}
		t.Skipf(why, err)
	}
	return compile(gcc, "-m32", "-pthread")(t, source, exe)
}

var canBuildI386 = sync.OnceValue(func() error {
	probe := exec.Command("gcc", "-m32", "-w", "-xc", "-", "-o", os.DevNull)
	probe.Stdin = strings.NewReader("#include <stdio.h>\n#include <asm/errno.h>\nint main;")
	return probe.Run()
})

// compileGo builds with Go.
func compileGo(t *testing.T, source, exe string) *exec.Cmd {
	t.Helper()
	build := exec.Command(harness.NeedTool(t, "go"), "build", "-o", exe, source)
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	return build
}
