package shim

import "syscall"

// exec runs the command, looked up in PATH as execvp(3) does: by trying. Each try
// is notified, so that the record has the places where the command was not found,
// too. It returns only if all fail.
//
// The soft limit of open files is what the supervisor was started with: it is package os
// that raises it, which has not been initialized here, and ForkExec does not pass that on.
func (s *shim) exec() error {
	l := s.launch
	if _, _, slash := cut(l.Path, '/'); slash {
		return execOrScript(l.Path, l.Argv, l.Env)
	}
	if l.Path == "" {
		return syscall.ENOENT
	}
	denied := false
	for rest, more := searchPath(l.Env), true; more; {
		var dir string
		dir, rest, more = cut(rest, ':')
		name := l.Path
		if dir != "" { // an empty entry is the working directory
			name = dir + "/" + name
		}
		switch err := execOrScript(name, l.Argv, l.Env); err {
		case syscall.EACCES:
			denied = true
		case syscall.ENOENT, syscall.ENOTDIR, syscall.ESTALE, syscall.ENODEV, syscall.ETIMEDOUT:
		default:
			return err
		}
	}
	if denied {
		return syscall.EACCES
	}
	return syscall.ENOENT
}

// defaultPath is where execvp of glibc looks without a PATH.
const defaultPath = "/bin:/usr/bin"

func searchPath(env []string) string {
	for _, kv := range env {
		if path, ok := cutPrefix(kv, "PATH="); ok {
			return path
		}
	}
	return defaultPath
}

// execOrScript executes a file. One that is neither a program nor begins with
// "#!" is a shell's, as for execvp(3) and every shell.
func execOrScript(name string, argv, env []string) error {
	err := syscall.Exec(name, argv, env)
	if err != syscall.ENOEXEC {
		return err
	}
	script := append([]string{"sh", name}, argv[min(1, len(argv)):]...)
	return syscall.Exec("/bin/sh", script, env)
}

// cut is strings.Cut, at a byte.
func cut(s string, sep byte) (before, after string, found bool) {
	for i := range len(s) {
		if s[i] == sep {
			return s[:i], s[i+1:], true
		}
	}
	return s, "", false
}
