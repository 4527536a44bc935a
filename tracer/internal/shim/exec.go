package shim

import (
	"slices"
	"strings"
	"syscall"
)

// exec runs the command, looked up in PATH as execvp(3) does: by trying. Each try is
// notified, so that the record has the places where the command was not found, too. If
// all fail the shim reports that to the supervisor, which says what to exit with: whether
// the command was not found cannot be looked up here without that being recorded as the
// command's doing.
//
// The soft limit of open files is what the supervisor was started with: the Go runtime
// has restored it when it executed the stub.
func (b *builder) exec() {
	l := b.launch
	if !isPath(l.Path) || !all(l.Argv, isPath) || !all(l.Env, isPath) {
		m, _ := b.failure(StepExec, syscall.EINVAL)
		b.endAs(m)
		return
	}
	names, search := candidates(l.Path, l.Env)
	argv := b.strings(l.Argv)
	program := b.vector(argv)
	// The file takes the place of the command's name: argument 1 of sh.
	script := b.vector(append([]operand{b.string("sh"), number(0)}, argv[min(1, len(l.Argv)):]...))
	environ := b.vector(b.strings(l.Env))

	shell := b.string("/bin/sh")
	notFound, notFoundErrno := b.failure(StepExec, syscall.ENOENT)
	failed, errno := b.failure(StepExec, 0)
	broken := b.label()
	for _, name := range names {
		file := b.string(name)
		next, denied, isScript := b.label(), b.label(), b.label()
		try := func(path, argv operand, more ...branch) {
			cases := more
			if search {
				cases = append(cases, branch{-int64(syscall.EACCES), denied})
				for _, e := range elsewhere {
					cases = append(cases, branch{-int64(e), next})
				}
			}
			b.add(op{call: syscall.SYS_EXECVE, args: []operand{path, argv, environ}, result: errno, cases: cases, done: broken, failed: broken})
		}
		try(file, program, branch{-int64(syscall.ENOEXEC), isScript})
		// A file that is neither a program nor begins with "#!" is a shell's, as for
		// execvp(3) and every shell.
		b.place(isScript)
		b.add(op{call: noCall, args: []operand{file}, result: script.plus(8)})
		try(shell, script)
		b.place(denied)
		b.add(op{call: noCall, args: []operand{errorNumber(syscall.EACCES)}, result: notFoundErrno, failed: next})
		b.place(next)
	}
	b.endAs(notFound)
	b.place(broken)
	b.endAs(failed)
}

// strings adds strings, and returns a vector of them that ends as the kernel wants it.
func (b *builder) strings(list []string) []operand {
	vector := make([]operand, len(list)+1)
	for i, s := range list {
		vector[i] = b.string(s)
	}
	return vector
}

// elsewhere are the errors for which a command is looked for in the next directory.
var elsewhere = []syscall.Errno{syscall.ENOENT, syscall.ENOTDIR, syscall.ESTALE, syscall.ENODEV, syscall.ETIMEDOUT}

func all(list []string, is func(string) bool) bool {
	return !slices.ContainsFunc(list, func(s string) bool { return !is(s) })
}

// candidates returns the files that a command may be, and reports whether they come from
// PATH.
func candidates(path string, env []string) (names []string, search bool) {
	if strings.Contains(path, "/") {
		return []string{path}, false
	}
	if path == "" {
		return nil, true
	}
	for dir := range strings.SplitSeq(searchPath(env), ":") {
		if dir != "" { // an empty entry is the working directory
			dir += "/"
		}
		names = append(names, dir+path)
	}
	return names, true
}

// defaultPath is where execvp of glibc looks without a PATH.
const defaultPath = "/bin:/usr/bin"

func searchPath(env []string) string {
	for _, kv := range env {
		if path, ok := strings.CutPrefix(kv, "PATH="); ok {
			return path
		}
	}
	return defaultPath
}

// endAs reports a failed exec, and exits with what the supervisor says.
func (b *builder) endAs(m message) {
	exit, again := b.label(), b.label()
	b.tell(m.address, m.size)
	b.place(again)
	b.add(op{
		call: syscall.SYS_READ, args: []operand{socket(), argument(exit, 0), number(1)},
		cases: []branch{{-int64(syscall.EINTR), again}},
	})
	b.place(exit)
	b.exit()
}
