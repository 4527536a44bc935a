package main

import "slices"

// A mode is a way of running a command.
type mode struct {
	name   string
	prefix []string // the command's arguments follow
}

func (m mode) wrap(argv ...string) []string { return slices.Concat(m.prefix, argv) }

// The names of the modes that all are compared in.
const (
	bare   = "bare"
	floor  = "floor"
	ptrace = "fstrace"
	notify = "notify"
	strace = "strace"
)

// traced runs a command under fstrace, with nothing written.
func (l *lab) traced(name string, flags ...string) mode {
	return mode{name, slices.Concat([]string{l.fstrace, "-o", "/dev/null"}, flags, []string{"--"})}
}

// modes are the usual ones, in the order in which they take turns.
func (l *lab) modes() []mode {
	list := []mode{
		{name: bare},
		{name: floor, prefix: []string{l.floor}},
		l.traced(ptrace, "-f", "jsonl"),
		l.traced(notify, "-f", "jsonl", "--lifecycle", "notify"),
	}
	if l.hasStrace {
		list = append(list, mode{strace, []string{
			l.strace, "-f", "--seccomp-bpf", "-e", "trace=%file,getdents64", "-o", "/dev/null",
		}})
	}
	return list
}

// modesText says in the document what the names stand for.
const modesText = `
| name | what runs the command |
|---|---|
| bare | nothing |
| floor | ` + "`testdata/bench/c/floor.c`" + `: receives each notification, reads 256 bytes, continues; what the mechanism itself costs |
| fstrace | ` + "`fstrace -f jsonl -o /dev/null`" + ` |
| notify | ` + "`fstrace --lifecycle notify -f jsonl -o /dev/null`" + ` |
| strace | ` + "`strace -f --seccomp-bpf -e trace=%file,getdents64 -o /dev/null`" + ` |
`
