package main_test

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// straceAccesses turns what strace printed of a command that began in cwd into
// accesses, each with the calls it comes from.
func straceAccesses(threads map[int][]straceCall, cwd string) (map[access]string, error) {
	m := straceModel{threads: threads, seen: map[int]bool{}, accesses: map[access]string{}}
	root, err := m.root()
	if err != nil {
		return nil, err
	}
	if err := m.walk(root, &straceDir{cwd}); err != nil {
		return nil, err
	}
	for tid := range threads {
		if !m.seen[tid] {
			return nil, fmt.Errorf("thread %d is nobody's child", tid)
		}
	}
	return m.dirsNotRead(), nil
}

// A straceModel follows the working directories of a command's threads, to make
// absolute what they name. Each thread's calls are gone through on their own,
// from the clone that made it: an order between threads would matter only if
// they changed the working directory that they share while others use it.
type straceModel struct {
	threads  map[int][]straceCall
	seen     map[int]bool
	accesses map[access]string
}

// A straceDir is a working directory. Threads made with CLONE_FS share one.
type straceDir struct{ path string }

// root finds the thread that no other one made.
func (m *straceModel) root() (int, error) {
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

func (m *straceModel) walk(tid int, cwd *straceDir) error {
	m.seen[tid] = true
	for i := range m.threads[tid] {
		c := &m.threads[tid][i]
		if child, ok := c.child(); ok {
			if m.seen[child] {
				return fmt.Errorf("thread %d is made twice", child)
			}
			theirs := cwd
			if !strings.Contains(strings.Join(c.args, " "), "CLONE_FS") {
				theirs = &straceDir{cwd.path}
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

func (m *straceModel) call(c *straceCall, cwd *straceDir) error {
	a, ok, err := c.access(cwd.path)
	if err != nil || !ok {
		return err
	}
	m.accesses[a] = c.String()
	if c.failed() {
		return nil
	}
	switch a.op {
	case "chdir":
		cwd.path = resolved(a.path)
	case "exec":
		for _, also := range execAlso(cwd.path, a.path) {
			m.accesses[also] = "the kernel, for " + c.String()
		}
	}
	return nil
}

// dirsNotRead is the accesses, with the opening of a directory made what it is:
// a stat. What is gone by now was one if it was made or listed as one.
func (m *straceModel) dirsNotRead() map[access]string {
	isDir := func(path string) bool {
		if info, err := os.Stat(path); err == nil {
			return info.IsDir()
		}
		_, listed := m.accesses[access{op: "list", path: path}]
		from := m.accesses[access{op: "create", path: path}]
		return listed || strings.HasPrefix(from, "mkdir")
	}
	all := map[access]string{}
	for a, from := range m.accesses {
		if a.op == "read" && isDir(a.path) {
			a.op = "stat"
		}
		all[a] = from
	}
	return all
}

// child is the thread that c made.
func (c *straceCall) child() (int, bool) {
	switch c.name {
	case "fork", "vfork", "clone", "clone3":
		tid, err := strconv.Atoi(c.ret)
		return tid, err == nil && tid > 0
	}
	return 0, false
}

// resolved is path with a symbolic link at its end followed, too.
func resolved(path string) string { return filepath.Dir(kernelPath("/", path+"/x")) }
