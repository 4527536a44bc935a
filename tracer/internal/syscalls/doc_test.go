package syscalls

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/fstrace/fstrace/events"
	"github.com/fstrace/fstrace/seccomp"
)

var update = flag.Bool("update", false, "write docs/syscalls.md from the table")

const syscallsDoc = "../../../docs/syscalls.md"

const syscallsHead = `# System calls

` + "`make docs`" + ` writes this page from tracer/internal/syscalls/table.go, and a test compares them.

The calls in this table are notified, on each ABI that has them; no others are. Some are notified
only with certain arguments: prctl with PR_SET_SECCOMP and PR_SET_CHILD_SUBREAPER, ioctl with
FS_IOC_SETFLAGS and FS_IOC_FSSETXATTR, bpf with BPF_OBJ_PIN, BPF_OBJ_GET and BPF_LINK_CREATE, sendto
with an address, socketcall for bind, connect, sendto, sendmsg and sendmmsg.

*op* is the operation in a record. For calls that open a file, it depends on the flags and on the
file: ` + "`read`" + ` for reading, ` + "`write`" + ` for writing, truncating or creating, ` + "`stat`" + ` with O_PATH or for a
directory. *names* says what the arguments name: a path, a path relative to a directory descriptor,
or a descriptor alone. The numbers are those of the kernel.

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
	for i := range Table {
		r := &Table[i]
		fmt.Fprintf(&b, "| %s | %s | %s |", r.Name, opText(r), namesText(r))
		writeNumbers(&b, r.Name, abis)
	}
	b.WriteString("\nThe numbers of x32 are without bit 30.\n")
	b.WriteString(restMarkdown(t, abis))
	return b.String()
}

func opText(r *Row) string {
	switch r.How {
	case ByOpen, ByOpenHow, ByHandle:
		return "read, write, stat"
	case BySocketcall:
		return "create, stat, connect"
	case ByBPF:
		return "create, stat, read"
	case ByQueue:
		if r.Op != events.OpDelete {
			return "read, write"
		}
	case BySockaddr, ByMessages:
		if r.Op == events.OpStat {
			return "stat, connect"
		}
	case ByDenial:
		return "(fails with ENOSYS)"
	case ByNamespace, ByPtrace, BySeccomp, ByPrctl:
		return "(no access)"
	}
	return r.Op.String()
}

func namesText(r *Row) string {
	switch r.How {
	case BySockaddr, ByMessages, BySocketcall:
		if r.Op != events.OpCreate {
			return "AF_UNIX path, or another address"
		}
		return "AF_UNIX path"
	case ByHandle:
		return "file handle"
	case ByMount:
		return "path, path, and paths among the options"
	case ByFsconfig:
		return "directory and path, or a path as an option"
	case ByBPF, ByPerfEvent:
		return "path in a struct"
	case ByQuota:
		return "path, path"
	case ByQueue:
		return "name of a message queue"
	case ByDenial, ByNamespace, ByPtrace, BySeccomp, ByPrctl:
		return ""
	}
	text := refText(r.First)
	if r.Second.Set {
		text += ", " + refText(r.Second)
	}
	return text
}

func refText(f Ref) string {
	switch {
	case f.Path == None:
		return "descriptor"
	case f.Dir == None:
		return "path"
	}
	return "directory and path"
}
