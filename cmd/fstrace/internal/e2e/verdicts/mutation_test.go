package verdicts

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

// A mutation is a change that somebody makes to a tree between two runs.
type mutation struct {
	Kind, Path, Arg string
	Quiet           bool // whether what was there before keeps its time
}

func (m mutation) String() string {
	s := strings.TrimSpace(fmt.Sprintf("%s %s %s", m.Kind, m.Path, m.Arg))
	if m.Quiet {
		s += ", times restored"
	}
	return s
}

// replaces reports whether the change puts something in the place of what was there.
func (m mutation) replaces() bool {
	return slices.Contains([]string{"create", "mkdir", "symlink", "todir", "tolink", "tofile"}, m.Kind)
}

// mutations are the kinds of changes. A change that the state of the tree does not
// allow fails, and nothing is judged.
var mutations = map[string]func(file, arg, dir string) error{
	"edit": func(file, _, _ string) error { // same size
		b, err := os.ReadFile(file)
		if err != nil || len(b) == 0 {
			return errors.Join(err, errInapplicable)
		}
		b[len(b)-1] ^= 1
		return os.WriteFile(file, b, 0)
	},
	"append": func(file, arg, _ string) error {
		b, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		return os.WriteFile(file, append(b, arg...), 0)
	},
	"rewrite": func(file, arg, _ string) error { // a new file by the same name, as editors do
		info, err := os.Stat(file)
		if err != nil || !info.Mode().IsRegular() {
			return errors.Join(err, errInapplicable)
		}
		st := info.Sys().(*syscall.Stat_t)
		return errors.Join(os.Remove(file), os.WriteFile(file, []byte(arg), 0o600),
			os.Chmod(file, info.Mode()), os.Lchown(file, int(st.Uid), int(st.Gid)))
	},
	"chmod": func(file, arg, _ string) error {
		var mode uint32
		if _, err := fmt.Sscanf(arg, "%o", &mode); err != nil {
			return err
		}
		if info, err := os.Lstat(file); err != nil || info.Mode()&os.ModeSymlink != 0 {
			return errors.Join(err, errInapplicable)
		}
		return syscall.Chmod(file, mode)
	},
	"chown": func(file, arg, _ string) error {
		var uid int
		if _, err := fmt.Sscan(arg, &uid); err != nil {
			return err
		}
		return os.Lchown(file, uid, uid)
	},
	"remove": func(file, _, _ string) error {
		if _, err := os.Lstat(file); err != nil {
			return err
		}
		return os.RemoveAll(file)
	},
	"create": func(file, arg, _ string) error {
		f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
		if err != nil {
			return err
		}
		_, err = f.WriteString(arg)
		return errors.Join(err, f.Close(), os.Chmod(file, 0o644))
	},
	"mkdir": func(file, _, _ string) error { return errors.Join(os.Mkdir(file, 0o755)) },
	"symlink": func(file, arg, _ string) error {
		return os.Symlink(arg, file)
	},
	"link": func(file, arg, dir string) error { return os.Link(filepath.Join(dir, arg), file) },
	"rename": func(file, arg, dir string) error {
		return os.Rename(file, filepath.Join(dir, arg))
	},
	"todir": func(file, _, _ string) error { // a directory in its place
		return errors.Join(mustBe(file), os.RemoveAll(file), os.Mkdir(file, 0o755))
	},
	"tolink": func(file, arg, _ string) error { // a link in its place, or another link
		return errors.Join(mustBe(file), os.RemoveAll(file), os.Symlink(arg, file))
	},
	"tofile": func(file, arg, _ string) error {
		return errors.Join(mustBe(file), os.RemoveAll(file), os.WriteFile(file, []byte(arg), 0o644), os.Chmod(file, 0o644))
	},
	"aside": func(file, arg, dir string) error { // the directory elsewhere, a link to it in its place
		if info, err := os.Lstat(file); err != nil || !info.IsDir() {
			return errors.Join(err, errInapplicable)
		}
		if _, err := os.Lstat(filepath.Join(dir, arg)); err == nil {
			return errInapplicable
		}
		return errors.Join(os.Rename(file, filepath.Join(dir, arg)), os.Symlink(filepath.Join(dir, arg), file))
	},
	"touch": func(file, _, _ string) error { return setTime(file, mutatedTime) },
}

var errInapplicable = errors.New("the tree does not allow it")

func mustBe(file string) error {
	if _, err := os.Lstat(file); err != nil {
		return err
	}
	return nil
}

// apply changes the tree at dir, which is before, and returns what it then is. Times
// that the change set are replaced by one that programs may print; a quiet
// change restores the former ones.
func (m mutation) apply(dir string, before tree) (tree, error) {
	if err := m.make(dir); err != nil {
		return nil, err
	}
	after, err := snapshot(dir)
	if err != nil {
		return nil, err
	}
	names := after.paths()
	for i := range names {
		name := names[len(names)-1-i]
		n, was := after[name], before[name]
		if n.Mtime < newTime || n.Mtime == was.Mtime {
			continue
		}
		n.Mtime = mutatedTime
		if m.Quiet && was.Type != 0 {
			n.Mtime = was.Mtime
		}
		if err := setTime(filepath.Join(dir, name), n.Mtime); err != nil {
			return nil, err
		}
		after[name] = n
	}
	return after, nil
}

func (m mutation) make(dir string) error {
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	file := filepath.Join(dir, m.Path)
	if m.Kind != "create" && m.Kind != "mkdir" && m.Kind != "symlink" && m.Kind != "link" {
		if err := mustBe(file); err != nil {
			return err
		}
	}
	return mutations[m.Kind](file, m.Arg, dir)
}
