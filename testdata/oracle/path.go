package oracle

import (
	"os"
	"path/filepath"
	"strings"
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
