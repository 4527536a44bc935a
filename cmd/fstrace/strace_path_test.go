package main_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// kernelPath makes a path absolute as the kernel walks it from base: symbolic
// links of its directory part followed, the one at its end not. What is missing
// ends the walk: the rest of the path is kept as it was given, unless there is
// a ".." in it, which leads nobody knows where.
//
// It looks at the file system as it is now, after the command has ended, which
// is good enough for commands that leave their directories where they were.
func kernelPath(base, given string) string {
	at, rest := base, trimEnd(given)
	if strings.HasPrefix(given, "/") {
		at = "/"
	}
	for links := 0; ; {
		name, after, more := strings.Cut(strings.TrimLeft(rest, "/"), "/")
		switch name {
		case "":
			return at
		case ".":
			rest = after
			continue
		case "..":
			at, rest = filepath.Dir(at), after
			continue
		}
		next := procName(at, name)
		if !more {
			return next
		}
		info, err := os.Lstat(next)
		switch {
		case strings.HasPrefix(next, procPID): // of a process that is gone
			at, rest = next, after
		case err != nil:
			return missing(next, after)
		case info.Mode()&os.ModeSymlink != 0 && links < 40:
			target, _ := os.Readlink(next)
			if strings.HasPrefix(target, "/") {
				at = "/"
			}
			links++
			rest = target + "/" + after
		default:
			at, rest = next, after
		}
	}
}

// trimEnd cuts the slashes and dots at the end of a path. They ask for a
// directory, but name what the component before them names.
func trimEnd(path string) string {
	for {
		shorter := strings.TrimSuffix(strings.TrimRight(path, "/"), "/.")
		if shorter == path || shorter == "" {
			return path
		}
		path = shorter
	}
}

// missing is the path of what lies beyond a name that is not there.
func missing(name, rest string) string {
	path := name
	for _, component := range strings.Split(rest, "/") {
		switch component {
		case "", ".":
		case "..":
			return name
		default:
			path += "/" + component
		}
	}
	return path
}

// procPID stands for the number of any process in /proc.
const procPID = "/proc/PID"

// procName joins a name to a directory, and gives processes and threads in
// /proc one name for all: "self" there is another one for each process.
func procName(dir, name string) string {
	digits := strings.Trim(name, "0123456789") == ""
	switch {
	case dir == "/proc" && name == "thread-self":
		return procPID + "/task/TID"
	case dir == "/proc" && (name == "self" || digits):
		return procPID
	case dir == procPID+"/task" && digits:
		return dir + "/TID"
	}
	return filepath.Join(dir, name)
}

func TestKernelPath(t *testing.T) {
	dir := openDir(t)
	mkdir(t, dir+"/a/b")
	writeFile(t, dir+"/a/file", "")
	for link, target := range map[string]string{
		"/l": "a/b", "/abs": dir + "/a", "/a/b/up": "..", "/gone": "no/where", "/loop": "loop",
	} {
		if err := os.Symlink(target, dir+link); err != nil {
			t.Fatal(err)
		}
	}
	for given, want := range map[string]string{
		"a/./b//file": "/a/b/file", "a/b/../x": "/a/x", "l/../file": "/a/file", "l/up/file": "/a/file",
		"l": "/l", "l/": "/l", "l/./": "/l", "abs/b": "/a/b", "a/no/x/y": "/a/no/x/y", "a/no/x/../y": "/a/no",
		"gone/x": "/no/where/x", "gone": "/gone", ".": "", "a/..": "", "../../../../.." + dir + "/l": "/l",
	} {
		if got := kernelPath(dir, given); got != dir+want {
			t.Errorf("%s: %s, want %s", given, got, dir+want)
		}
	}
	for given, want := range map[string]string{
		"/proc/self/status": "/proc/PID/status", "/proc/71/task/72/stat": "/proc/PID/task/TID/stat",
		"/proc/thread-self/fd/3": "/proc/PID/task/TID/fd/3", "/dev/fd/3": "/proc/PID/fd/3", "/proc/self": "/proc/PID",
	} {
		if got := kernelPath(dir, given); got != want {
			t.Errorf("%s: %s, want %s", given, got, want)
		}
	}
}
