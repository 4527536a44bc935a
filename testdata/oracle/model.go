package oracle

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// accessesOf turns what strace printed of a command that began in cwd into
// accesses, each with the calls it comes from.
func accessesOf(threads map[int][]tracedCall, cwd string) (map[Access]string, error) {
	m := model{threads: threads, seen: map[int]bool{}, accesses: map[Access]string{}}
	root, err := m.root()
	if err != nil {
		return nil, err
	}
	if err := m.walk(root, &workingDir{cwd}); err != nil {
		return nil, err
	}
	for tid := range threads {
		if !m.seen[tid] {
			return nil, fmt.Errorf("thread %d is nobody's child", tid)
		}
	}
	return m.dirsNotRead(), nil
}

// A model follows the working directories of a command's threads, to make
// absolute what they name. Each thread's calls are gone through on their own,
// from the clone that made it: an order between threads would matter only if
// they changed the working directory that they share while others use it.
type model struct {
	threads  map[int][]tracedCall
	seen     map[int]bool
	accesses map[Access]string
}

// A workingDir is a working directory. Threads made with CLONE_FS share one.
type workingDir struct{ path string }

// root finds the thread that no other one made.
func (m *model) root() (int, error) {
	roots := map[int]bool{}
	for tid := range m.threads {
		roots[tid] = true
	}
	for _, calls := range m.threads {
		for i := range calls {
			if child, ok := calls[i].child(); ok {
				delete(roots, child)
			}
		}
	}
	if len(roots) != 1 {
		return 0, fmt.Errorf("threads that nobody made: %v", slices.Collect(maps.Keys(roots)))
	}
	for tid := range roots {
		return tid, nil
	}
	panic("unreachable")
}

func (m *model) walk(tid int, cwd *workingDir) error {
	m.seen[tid] = true
	for i := range m.threads[tid] {
		c := &m.threads[tid][i]
		if child, ok := c.child(); ok {
			if m.seen[child] {
				return fmt.Errorf("thread %d is made twice", child)
			}
			theirs := cwd
			if !strings.Contains(strings.Join(c.args, " "), "CLONE_FS") {
				theirs = &workingDir{cwd.path}
			}
			if err := m.walk(child, theirs); err != nil {
				return err
			}
			continue
		}
		if err := m.call(c, cwd); err != nil {
			return fmt.Errorf("thread %d: %v: %w", tid, c, err)
		}
	}
	return nil
}

func (m *model) call(c *tracedCall, cwd *workingDir) error {
	a, ok, err := c.access(cwd.path)
	if err != nil || !ok {
		return err
	}
	m.accesses[a] = c.String()
	if c.failed() {
		return nil
	}
	switch a.Op {
	case "chdir":
		cwd.path = resolved(a.Path)
	case "exec":
		for _, also := range execAlso(cwd.path, a.Path) {
			m.accesses[also] = "the kernel, for " + c.String()
		}
	}
	return nil
}

// dirsNotRead is the accesses, with the opening of a directory made what it is:
// a stat. What is gone by now was one if it was made or listed as one.
func (m *model) dirsNotRead() map[Access]string {
	isDir := func(path string) bool {
		if info, err := os.Stat(path); err == nil {
			return info.IsDir()
		}
		_, listed := m.accesses[Access{Op: "list", Path: path}]
		from := m.accesses[Access{Op: "create", Path: path}]
		return listed || strings.HasPrefix(from, "mkdir")
	}
	all := map[Access]string{}
	for a, from := range m.accesses {
		if a.Op == "read" && isDir(a.Path) {
			a.Op = "stat"
		}
		all[a] = from
	}
	return all
}

// child is the thread that c made.
func (c *tracedCall) child() (int, bool) {
	switch c.name {
	case "fork", "vfork", "clone", "clone3":
		tid, err := strconv.Atoi(c.ret)
		return tid, err == nil && tid > 0
	}
	return 0, false
}

// resolved is path with a symbolic link at its end followed, too.
func resolved(path string) string { return filepath.Dir(kernelPath("/", path+"/x")) }
