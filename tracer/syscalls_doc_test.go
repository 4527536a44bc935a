package tracer

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/fstrace/fstrace/events"
	"github.com/fstrace/fstrace/seccomp"
)

var update = flag.Bool("update", false, "write docs/syscalls.md anew from the table")

const syscallsDoc = "../docs/syscalls.md"

const syscallsHead = `# System calls

Made from the table in tracer/table.go by ` + "`make docs`" + `; a test keeps it so.

Every call below is notified, on each ABI that has it; no other is. Of prctl it is
PR_SET_SECCOMP only, of ioctl FS_IOC_SETFLAGS and FS_IOC_FSSETXATTR, of bpf BPF_OBJ_PIN,
BPF_OBJ_GET and BPF_LINK_CREATE, of sendto what has an address, of socketcall bind, connect, sendto,
sendmsg and sendmmsg. The numbers are the kernel's own. *op* is what the call means in a record; for calls that open, the
flags and what is there decide: for reading ` + "`read`" + `, for writing, truncating or
creating ` + "`write`" + `, with O_PATH or on a directory ` + "`stat`" + `. *names* says what the
call names: a path, a path relative to a directory descriptor, a descriptor alone.

`

// TestSyscallsDoc compares docs/syscalls.md with the table.
func TestSyscallsDoc(t *testing.T) {
	want := syscallsMarkdown(t)
	if *update {
		if err := os.WriteFile(syscallsDoc, []byte(want), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(syscallsDoc)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != want {
		t.Errorf("%s is not what the table says: run make docs", syscallsDoc)
	}
}

func syscallsMarkdown(t *testing.T) string {
	t.Helper()
	var b strings.Builder
	b.WriteString(syscallsHead)
	var abis []*seccomp.ABI
	for _, goarch := range []string{"amd64", "arm64"} {
		list, err := seccomp.ABIs(goarch)
		if err != nil {
			t.Fatal(err)
		}
		abis = append(abis, list...)
	}
	b.WriteString("| call | op | names |" + abiColumns(abis) + "\n|---|---|---|" + strings.Repeat("--:|", len(abis)) + "\n")
	for i := range table {
		r := &table[i]
		fmt.Fprintf(&b, "| %s | %s | %s |", r.name, opText(r), namesText(r))
		writeNumbers(&b, r.name, abis)
	}
	b.WriteString("\nNumbers of x32 are given without its bit 30.\n")
	b.WriteString(restMarkdown(t, abis))
	return b.String()
}

func opText(r *row) string {
	switch r.how {
	case byOpen, byOpenHow, byHandle:
		return "read, write, stat"
	case bySocketcall:
		return "create, stat, connect"
	case byBPF:
		return "create, stat, read"
	case byQueue:
		if r.op != events.OpDelete {
			return "read, write"
		}
	case bySockaddr, byMessages:
		if r.op == events.OpStat {
			return "stat, connect"
		}
	case byDenial:
		return "(answered ENOSYS)"
	case byNamespace, byPtrace, bySeccomp:
		return "(no access)"
	}
	return r.op.String()
}

func namesText(r *row) string {
	switch r.how {
	case bySockaddr, byMessages, bySocketcall:
		if r.op != events.OpCreate {
			return "AF_UNIX path, or another address"
		}
		return "AF_UNIX path"
	case byHandle:
		return "file handle"
	case byMount:
		return "path, path, and paths among the options"
	case byFsconfig:
		return "directory and path, or a path as an option"
	case byBPF, byPerfEvent:
		return "path in a struct"
	case byQuota:
		return "path, path"
	case byQueue:
		return "name of a message queue"
	case byDenial, byNamespace, byPtrace, bySeccomp:
		return ""
	}
	text := refText(r.first)
	if r.second.set {
		text += ", " + refText(r.second)
	}
	return text
}

func refText(f ref) string {
	switch {
	case f.path == none:
		return "descriptor"
	case f.dir == none:
		return "path"
	}
	return "directory and path"
}
