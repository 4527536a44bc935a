package record

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/fstrace/fstrace/testdata/harness"
)

// TestExecByLink: a program that is executed by a link in /proc is opened by that link,
// where its name does not lead to it: the file was removed, or the link is in another
// procfs.
func TestExecByLink(t *testing.T) {
	for _, tt := range []struct {
		name, script, interpreter string
		tools                     []string
		root                      bool
	}{
		{
			name: "removed", script: `cp /bin/sh program; ./program -c 'rm program; exec /proc/self/exe -c "echo ran"'`, interpreter: "ld-linux",
		},
		{
			name: "no name", script: `python3 -c '
import os
fd = os.memfd_create("program", 0)
os.write(fd, b"#!/bin/sh\necho ran\n")
os.execv("/proc/self/fd/%d" % fd, ["program"])'`, interpreter: "/bin/sh", tools: []string{"python3"},
		},
		{
			// busybox executes itself by /proc/self/exe.
			name: "other procfs", script: `unshare -m -p -f chroot root /busybox sh -c '/busybox mount -t proc proc /proc; PATH=/ busybox echo ran'`,
			tools: []string{"busybox", "unshare"}, root: true,
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if tt.root {
				harness.NeedRoot(t, "to mount")
			}
			tr := &harness.Trial{Dir: harness.OpenDir(t)}
			for _, tool := range tt.tools {
				path := harness.NeedTool(t, tool)
				if tool == "busybox" { // one that has just been made: nothing is remembered of it
					harness.Mkdir(t, filepath.Join(tr.Dir, "root", "proc"))
					content, err := os.ReadFile(path)
					if err != nil {
						t.Fatal(err)
					}
					harness.WriteExecutable(t, filepath.Join(tr.Dir, "root", "busybox"), content)
				}
			}
			argv := []string{"sh", "-c", tt.script}
			if got := tr.Bare(t, argv...); got.Stdout != "ran\n" {
				t.Fatalf("bare, it printed %q, %q", got.Stdout, got.Stderr)
			}
			got, r := tr.Traced(t, argv...)
			if got.Stdout != "ran\n" || !r.Complete() {
				t.Errorf("printed %q, %q; incomplete: %v", got.Stdout, got.Stderr, r.Trailer["incomplete"])
			}
			byLink := slices.IndexFunc(r.Events, func(e harness.Event) bool { return e.Op == "exec" && procLink.MatchString(e.Path) })
			if byLink < 0 {
				t.Fatal("no program was executed by a link")
			}
			if tt.interpreter == "" {
				return
			}
			if next := r.Events[byLink+1]; next.Op != "exec" || next.Syscall == "" || !strings.Contains(next.Path+" "+next.As, tt.interpreter) {
				t.Errorf("after %+v comes %+v", r.Events[byLink], next)
			}
		})
	}
}

var procLink = regexp.MustCompile(`/proc/\d+/(exe|fd/\d+)$`)
