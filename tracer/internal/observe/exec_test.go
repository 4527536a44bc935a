package observe

import (
	"os"
	"testing"

	"github.com/fstrace/fstrace/events"
	"github.com/fstrace/fstrace/tracer/internal/resolve"
	"github.com/fstrace/fstrace/tracer/internal/syscalls"
	"golang.org/x/sys/unix"
)

// vanishing is a hand that removes a file at the second look: that at its content. It is
// also what a session has otherwise.
type vanishing struct {
	path  string
	looks int
}

func (v *vanishing) Enter()                                       {}
func (v *vanishing) Leave()                                       {}
func (v *vanishing) WorkDir(int) *WorkDir                         { return nil }
func (v *vanishing) CString(int, uint64) ([]byte, error)          { return []byte(v.path), nil }
func (v *vanishing) Bytes(_ int, _ uint64, n int) ([]byte, error) { return make([]byte, n), nil }

func (v *vanishing) EnterAt(_ *resolve.Served, path []byte) bool {
	if string(path) == v.path {
		if v.looks++; v.looks == 2 {
			os.Remove(v.path)
		}
	}
	return true
}

// TestExecVanished: a program that is removed while it is looked at is not one that may
// not be read. The kernel does not find it either.
func TestExecVanished(t *testing.T) {
	v := &vanishing{path: t.TempDir() + "/program"}
	shared, err := NewShared(v, func(reason events.Reason, _ int, detail string) {
		t.Errorf("incomplete: %s: %s", reason, detail)
	}, new(resolve.ServedPaths))
	if err != nil {
		t.Fatal(err)
	}
	defer shared.Close()
	index, err := syscalls.NewIndex()
	if err != nil {
		t.Fatal(err)
	}
	row := index.Row(index.Native().Audit, unix.SYS_EXECVE)
	o := New(shared, v)
	defer o.Close()
	if err := os.WriteFile(v.path, []byte("#!/bin/sh\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	var a Access
	c := Call{TID: os.Getpid(), PID: os.Getpid(), Dir: new(WorkDir), Row: row, ABI: index.Native(), Args: [6]uint64{1}, Source: v}
	if !o.Observe(&c, &a) || a.First.State != events.StateFile || len(a.interpreters) > 0 {
		t.Errorf("state %s, %d interpreters", a.First.State, len(a.interpreters))
	}
	if _, err := os.Lstat(v.path); err == nil {
		t.Fatal("it was not looked into")
	}
}
