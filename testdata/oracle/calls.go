package oracle

import (
	"fmt"
	"slices"
	"strings"
)

// An Access is what is compared: what was done to which path, or two.
type Access struct{ Op, Path, To string }

func (a Access) String() string {
	s := fmt.Sprintf("%-8s %q", a.Op, a.Path)
	if a.To != "" {
		s += fmt.Sprintf(" -> %q", a.To)
	}
	return s
}

// A shape says which arguments of a call name files, counted from 1; 0 is
// for what a call does not have.
type shape struct {
	op       string // "" is for open, whose flags decide
	at, path int    // a directory descriptor and a string; at alone is the descriptor itself
	flags    int
	toAt, to int
	addr     int // a socket address
}

// shapes has the calls that tell of files, as strace names them.
var shapes = map[string]shape{
	"open": {path: 1, flags: 2}, "openat": {at: 1, path: 2, flags: 3}, "openat2": {at: 1, path: 2, flags: 3},
	"creat": {op: "write", path: 1},

	"stat": {op: "stat", path: 1}, "lstat": {op: "stat", path: 1}, "statfs": {op: "stat", path: 1},
	"stat64": {op: "stat", path: 1}, "lstat64": {op: "stat", path: 1}, "statfs64": {op: "stat", path: 1},
	"newfstatat": {op: "stat", at: 1, path: 2, flags: 4}, "fstatat64": {op: "stat", at: 1, path: 2, flags: 4},
	"statx": {op: "stat", at: 1, path: 2, flags: 3}, "access": {op: "stat", path: 1},
	"faccessat": {op: "stat", at: 1, path: 2}, "faccessat2": {op: "stat", at: 1, path: 2, flags: 4},
	"getxattr": {op: "stat", path: 1}, "lgetxattr": {op: "stat", path: 1},
	"listxattr": {op: "stat", path: 1}, "llistxattr": {op: "stat", path: 1},
	"inotify_add_watch": {op: "stat", path: 2}, "name_to_handle_at": {op: "stat", at: 1, path: 2, flags: 5},
	"connect": {op: "stat", addr: 2}, "sendto": {op: "stat", addr: 5}, "sendmsg": {op: "stat", addr: 2},

	"readlink": {op: "readlink", path: 1}, "readlinkat": {op: "readlink", at: 1, path: 2},
	"getdents": {op: "list", at: 1}, "getdents64": {op: "list", at: 1},
	"execve": {op: "exec", path: 1}, "execveat": {op: "exec", at: 1, path: 2, flags: 5},

	"mkdir": {op: "create", path: 1}, "mkdirat": {op: "create", at: 1, path: 2},
	"mknod": {op: "create", path: 1}, "mknodat": {op: "create", at: 1, path: 2},
	"symlink": {op: "create", path: 2}, "symlinkat": {op: "create", at: 2, path: 3},
	"link": {op: "create", path: 1, to: 2}, "linkat": {op: "create", at: 1, path: 2, toAt: 3, to: 4, flags: 5},
	"bind":   {op: "create", addr: 2},
	"unlink": {op: "delete", path: 1}, "unlinkat": {op: "delete", at: 1, path: 2}, "rmdir": {op: "delete", path: 1},
	"rename": {op: "rename", path: 1, to: 2}, "renameat": {op: "rename", at: 1, path: 2, toAt: 3, to: 4},
	"renameat2": {op: "rename", at: 1, path: 2, toAt: 3, to: 4},

	"chmod": {op: "chattr", path: 1}, "fchmodat": {op: "chattr", at: 1, path: 2}, "fchmodat2": {op: "chattr", at: 1, path: 2, flags: 4},
	"fchmod": {op: "chattr", at: 1}, "fchown": {op: "chattr", at: 1}, "fchown32": {op: "chattr", at: 1},
	"chown": {op: "chattr", path: 1}, "lchown": {op: "chattr", path: 1}, "fchownat": {op: "chattr", at: 1, path: 2, flags: 5},
	"chown32": {op: "chattr", path: 1}, "lchown32": {op: "chattr", path: 1},
	"utime": {op: "chattr", path: 1}, "utimes": {op: "chattr", path: 1}, "futimesat": {op: "chattr", at: 1, path: 2},
	"utimensat": {op: "chattr", at: 1, path: 2}, "utimensat_time64": {op: "chattr", at: 1, path: 2},
	"setxattr": {op: "chattr", path: 1}, "lsetxattr": {op: "chattr", path: 1}, "fsetxattr": {op: "chattr", at: 1},
	"removexattr": {op: "chattr", path: 1}, "lremovexattr": {op: "chattr", path: 1}, "fremovexattr": {op: "chattr", at: 1},
	"truncate": {op: "write", path: 1}, "truncate64": {op: "write", path: 1},
	"ftruncate": {op: "write", at: 1}, "ftruncate64": {op: "write", at: 1}, "fallocate": {op: "write", at: 1},

	"mount": {op: "stat", path: 1, to: 2}, "umount": {op: "stat", path: 1}, "umount2": {op: "stat", path: 1},

	"chdir": {op: "chdir", path: 1}, "fchdir": {op: "chdir", at: 1},
}

// silent has the calls of strace's %file class that are asked for with it
// but name no file, and those that are followed for the processes they make.
var silent = []string{"getcwd", "fork", "vfork", "clone", "clone3"}

// Traced is strace's -e trace= argument. A call that one of the ABIs does
// not have is no error with the question mark.
const Traced = "%file,?fork,?vfork,?clone,?clone3,?bind,?connect,?sendto,?sendmsg,?socketcall,?getdents,?getdents64,?fchdir," +
	"?fchmod,?fchown,?fchown32,?fsetxattr,?fremovexattr,?ftruncate,?ftruncate64,?fallocate"

// access is what c did to which file, from the working directory cwd. ok is
// false for calls that name none.
func (c *tracedCall) access(cwd string) (a Access, ok bool, err error) {
	if slices.Contains(silent, c.name) {
		return Access{}, false, nil
	}
	shape, known := shapes[c.name]
	if !known {
		return Access{}, false, fmt.Errorf("call of no known shape: %v", c)
	}
	if shape.addr != 0 {
		path, ok := socketPath(c.arg(shape.addr))
		return Access{Op: shape.op, Path: kernelPath(cwd, path)}, ok, nil
	}
	if c.name == "mount" && !c.mountsFile() {
		shape.path, shape.to = shape.to, 0
	}
	a.Op = shape.op
	if a.Path, ok, err = c.path(cwd, shape.at, shape.path, shape.flags); err != nil || !ok {
		return Access{}, false, err
	}
	if shape.to != 0 {
		if a.To, ok, err = c.path(cwd, shape.toAt, shape.to, 0); err != nil || !ok {
			return Access{}, false, err
		}
	}
	if a.Op == "" {
		a.Op = openOp(c.arg(shape.flags))
	}
	return a, true, nil
}

// mountsFile reports whether the source of a mount is a file or directory, not a mere
// name.
func (c *tracedCall) mountsFile() bool {
	return strings.HasPrefix(c.arg(1), `"/`) || strings.Contains(c.arg(4), "MS_BIND") || strings.Contains(c.arg(4), "MS_MOVE")
}

// path is the absolute path that two arguments name.
func (c *tracedCall) path(cwd string, at, path, flags int) (string, bool, error) {
	base, hasBase := cwd, true
	if at != 0 && !strings.HasPrefix(c.arg(at), "AT_FDCWD") {
		base, hasBase = descriptorArg(c.arg(at))
	}
	if path == 0 {
		return base, hasBase, nil
	}
	s, ok, err := stringArg(c.arg(path))
	switch {
	case err != nil:
		return "", false, err
	case !ok: // NULL is the descriptor itself to utimensat, and a fault to most
		return base, hasBase && at != 0 && c.arg(path) == "NULL" && !c.failed(), nil
	case s == "":
		return base, hasBase && (strings.Contains(c.arg(flags), "AT_EMPTY_PATH") || c.name == "readlinkat"), nil
	case !hasBase && !strings.HasPrefix(s, "/"):
		return "", false, nil
	}
	return kernelPath(base, s), true, nil
}

// openOp tells what opening a file with flags means. Whether it was a file at
// all is for model to tell.
func openOp(flags string) string {
	has := func(flag string) bool { return slices.Contains(strings.FieldsFunc(flags, isFlagEnd), flag) }
	switch {
	case has("O_PATH"):
		return "stat"
	case has("O_WRONLY"), has("O_RDWR"), has("O_TRUNC"), has("O_CREAT") && has("O_EXCL"):
		return "write"
	case has("O_DIRECTORY"):
		return "stat"
	}
	return "read"
}

func isFlagEnd(r rune) bool { return r != '_' && (r < 'A' || r > 'Z') }

// socketPath returns the path in an address, {sa_family=AF_UNIX, sun_path="/x"}, or in a
// message that has one.
// Names in the abstract namespace are printed as sun_path=@"x".
func socketPath(addr string) (string, bool) {
	_, path, ok := strings.Cut(addr, `sun_path="`)
	if !ok {
		return "", false
	}
	path, _, _ = strings.Cut(path, `"}`)
	return unescape(path), true
}
