package manifest

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/fstrace/fstrace/events"
)

func sumOf(content string) string {
	sum := sha256.Sum256([]byte(content))
	return hex.EncodeToString(sum[:])
}

// summary gives what a manifest compares, a line an entry: paths below /w, and
// contents instead of hashes.
func summary(m *Manifest, contents ...string) string {
	hashes := map[string]string{}
	for _, c := range contents {
		hashes[sumOf(c)] = c
	}
	var b strings.Builder
	entry := func(kind string, e *Entry) {
		fmt.Fprintf(&b, "%s %s %s", kind, strings.TrimPrefix(e.Path, "/w/"), e.State)
		switch {
		case e.SHA256 != "":
			fmt.Fprintf(&b, " %q", cmp.Or(hashes[e.SHA256], "?"))
		case e.Mtime != unset:
			fmt.Fprintf(&b, " size %d", e.Size)
		}
		if e.Target != "" {
			fmt.Fprintf(&b, " -> %s", e.Target)
		}
		if e.Entries != "" {
			fmt.Fprintf(&b, " %v", e.Names)
		}
		if kind == "out" && e.Before != events.StateAbsent {
			fmt.Fprintf(&b, " over %s", e.Before)
		}
		b.WriteByte('\n')
	}
	for i := range m.Inputs {
		if e := &m.Inputs[i]; len(e.Ops) > 0 || e.Path != "/" && e.Path != "/w" { // just on the way
			entry("in", e)
		}
	}
	for i := range m.Outputs {
		entry("out", &m.Outputs[i])
	}
	for kind, list := range map[string][]string{"removed": m.Removed, "temporary": m.Temporary} {
		for _, path := range list {
			fmt.Fprintf(&b, "%s %s\n", kind, strings.TrimPrefix(path, "/w/"))
		}
	}
	for _, r := range m.Renamed {
		fmt.Fprintf(&b, "renamed %s %s\n", strings.TrimPrefix(r.From, "/w/"), strings.TrimPrefix(r.To, "/w/"))
	}
	for _, g := range m.Incomplete {
		fmt.Fprintf(&b, "incomplete %s %s\n", g.Reason, strings.TrimPrefix(g.Detail, "/w/"))
	}
	lines := slices.Sorted(strings.Lines(b.String()))
	return strings.Join(lines, "")
}

var (
	empty = ""
	other = "other"
)

var folds = []struct {
	name string
	do   func(p *play)
	want string
}{
	{"read", func(p *play) { p.read("/w/a") }, `in a file "a"`},
	{"read absent", func(p *play) { p.read("/w/gone") }, `in gone absent`},
	{"stat", func(p *play) { p.stat("/w/a") }, `in a file size 1`},
	{"access", func(p *play) { p.access("/w/a") }, `in a file`},
	{"stat, then read", func(p *play) { p.stat("/w/a"); p.read("/w/a") }, `in a file "a"`},
	{"write", func(p *play) { p.write("/w/new", "x") }, `in new absent|out new file "x"`},
	{"overwrite", func(p *play) { p.write("/w/a", "x") }, `in a file|out a file "x" over file`},
	{"write the same again", func(p *play) { p.write("/w/a", "a") }, `in a file|out a file "a" over file`},
	{"read own output", func(p *play) { p.write("/w/new", "x"); p.read("/w/new"); p.stat("/w/new") }, `in new absent|out new file "x"`},
	{"read, then overwrite", func(p *play) { p.read("/w/a"); p.write("/w/a", "x") }, `in a file "a"|out a file "x" over file`},
	{"overwrite, then read", func(p *play) { p.write("/w/a", "x"); p.read("/w/a") }, `in a file|out a file "x" over file`},
	{"look, then make", func(p *play) { p.stat("/w/new"); p.write("/w/new", "x") }, `in new absent|out new file "x"`},
	{"append", func(p *play) {
		all := "a+"
		p.open("/w/a", &all, "O_WRONLY", "O_APPEND", "O_CREAT")
	}, `in a file "a"|out a file "a+" over file`},
	{"read and write", func(p *play) { p.open("/w/a", &other, "O_RDWR") }, `in a file "a"|out a file "other" over file`},
	{"truncate on opening", func(p *play) { p.open("/w/a", &other, "O_RDWR", "O_TRUNC") }, `in a file|out a file "other" over file`},
	{"open for writing, leave alone", func(p *play) { p.open("/w/a", nil, "O_WRONLY") }, `in a file "a"`},
	{"open for writing what is not there", func(p *play) { p.open("/w/gone", nil, "O_WRONLY") }, `in gone absent`},
	{"fail to make", func(p *play) { p.open("/w/no/new", nil, "O_WRONLY", "O_CREAT") }, `in no absent|in no/new absent`},
	{"make exclusively what is there", func(p *play) { p.open("/w/a", nil, "O_WRONLY", "O_CREAT", "O_EXCL") }, `in a file`},
	{"temporary", func(p *play) { p.write("/w/t", "x"); p.read("/w/t"); p.unlink("/w/t") }, `temporary t`},
	{"temporary, made again", func(p *play) {
		p.write("/w/t", "x")
		p.unlink("/w/t")
		p.write("/w/t", "other")
	}, `in t absent|out t file "other"`},
	{"remove", func(p *play) { p.unlink("/w/a") }, `in a file|removed a`},
	{"read, then remove", func(p *play) { p.read("/w/a"); p.unlink("/w/a") }, `in a file "a"|removed a`},
	{"remove, then make", func(p *play) { p.unlink("/w/a"); p.write("/w/a", "x") }, `in a file|out a file "x" over file`},
	{"fail to remove", func(p *play) {
		p.event(&events.Event{Op: events.OpDelete, Syscall: "unlink", Path: "/w/a"})
		p.read("/w/a")
	}, `in a file "a"`},
	{"write and rename", func(p *play) { p.write("/w/t", "x"); p.rename("/w/t", "/w/new"); p.read("/w/new") }, `in new absent|out new file "x"|temporary t`},
	{"edit in place by renaming", func(p *play) {
		p.read("/w/a")
		p.write("/w/t", "x")
		p.rename("/w/t", "/w/a")
	}, `in a file "a"|out a file "x" over file|temporary t`},
	{"rename an input", func(p *play) { p.rename("/w/a", "/w/new"); p.read("/w/new") }, `in a file "a"|in new absent|out new file "a"|removed a|renamed a new`},
	{"rename twice", func(p *play) { p.rename("/w/a", "/w/t"); p.rename("/w/t", "/w/new") }, `in a file "a"|in new absent|out new file "a"|removed a|renamed a new|temporary t`},
	{"rename and back", func(p *play) { p.rename("/w/a", "/w/t"); p.rename("/w/t", "/w/a") }, `in a file "a"|temporary t`},
	{"rename over another", func(p *play) { p.rename("/w/a", "/w/d/b") }, `in a file "a"|in d dir|in d/b file|out d/b file "a" over file|removed a|renamed a d/b`},
	{"fail to rename", func(p *play) {
		p.event(&events.Event{Op: events.OpRename, Syscall: "rename", Path: "/w/a", To: "/w/new"})
		p.read("/w/a")
		p.stat("/w/new")
	}, `in a file "a"|in new absent`},
	{"fail to rename, also to a name below the first", func(p *play) {
		p.event(&events.Event{Op: events.OpRename, Syscall: "rename", Path: "/w/a", To: "/w/no"})
		p.event(&events.Event{Op: events.OpRename, Syscall: "rename", Path: "/w/a", To: "/w/no/x"})
	}, `in a file "a"|in no absent|in no/x absent`},
	{"rename a new directory", func(p *play) {
		p.mkdir("/w/t")
		p.write("/w/t/x", "x")
		p.rename("/w/t", "/w/new")
		p.read("/w/new/x")
	}, `in new absent|out new dir|out new/x file "x"|temporary t`},
	{"rename an old directory", func(p *play) {
		p.read("/w/d/b")
		p.rename("/w/d", "/w/new")
		p.read("/w/new/b")
		p.stat("/w/d/b")
	}, `in d dir [f:b d:sub]|in d/b file "b"|in d/sub dir [f:c]|in d/sub/c file "c"|in new absent|out new dir [f:b d:sub]|out new/b file "b"|out new/sub dir [f:c]|out new/sub/c file "c"|removed d|renamed d new`},
	{"list", func(p *play) { p.list("/w/d") }, `in d dir [f:b d:sub]`},
	{"list, and make unreadable at once", func(p *play) {
		p.late = true
		p.list("/w/d")
		p.event(&events.Event{Op: events.OpChattr, Syscall: "chmod", Path: "/w/d"})
		p.fs.chmod("/w/d", 0o300)
	}, `in d dir|incomplete changed_during_run d: its entries could not be read in time: permission denied|incomplete changed_during_run d: list: permission denied|out d dir over dir`},
	{"list, with own entries", func(p *play) {
		p.write("/w/d/new", "x")
		p.list("/w/d")
		p.write("/w/d/later", "x")
		p.unlink("/w/d/b")
	}, `in d dir [f:b d:sub]|in d/b file|in d/later absent|in d/new absent|out d/later file "x"|out d/new file "x"|removed d/b`},
	{"list a new directory", func(p *play) { p.mkdir("/w/new"); p.list("/w/new"); p.stat("/w/new/x") }, `in new absent|out new dir []`},
	{"make a directory that is there", func(p *play) { p.mkdir("/w/d") }, `in d dir`},
	{"hard link", func(p *play) { p.link("/w/a", "/w/new") }, `in a file "a"|in new absent|out new file "a"`},
	{"write by a hard link", func(p *play) {
		all := "a+"
		p.read("/w/a")
		p.link("/w/a", "/w/new")
		p.fs.link("/w/a", "/w/new")
		p.event(&events.Event{Op: events.OpWrite, Syscall: "openat", Path: "/w/new", Flags: []string{"O_WRONLY"}})
		p.fs.write("/w/a", all)
		p.fs.link("/w/a", "/w/new")
	}, `in a file "a"|in new absent|out a file "a+" over file|out new file "a+"`},
	{"symbolic link", func(p *play) {
		p.event(&events.Event{
			Op: events.OpRead, Syscall: "open", Path: "/w/l", Real: "/w/a",
			Links: []events.Link{{Path: "/w/l", Target: "a"}},
		})
	}, `in a file "a"|in l symlink -> a`},
	{"inherited for reading", func(p *play) {
		p.event(&events.Event{Op: events.OpRead, Path: "/w/a", Flags: []string{"O_RDONLY"}})
	}, `in a file "a"`},
	{"inherited for writing", func(p *play) {
		p.event(&events.Event{Op: events.OpWrite, Path: "/w/a", Flags: []string{"O_WRONLY"}})
		p.fs.write("/w/a", "x")
	}, `out a file "x" over file`},
	{"inherited for appending", func(p *play) {
		p.event(&events.Event{Op: events.OpWrite, Path: "/w/a", Flags: []string{"O_WRONLY", "O_APPEND"}})
		p.fs.write("/w/a", "x")
	}, `out a file over file`},
	{"inherited for appending, left alone", func(p *play) {
		p.event(&events.Event{Op: events.OpWrite, Path: "/w/a", Flags: []string{"O_WRONLY", "O_APPEND"}})
	}, ``},
	{"opened for its size and times", func(p *play) {
		p.event(&events.Event{Op: events.OpStat, Syscall: "openat", Path: "/w/a", Flags: []string{"O_PATH"}})
	}, `in a file size 1`},
	{"fail to empty, then read", func(p *play) {
		p.open("/w/a", nil, "O_WRONLY", "O_TRUNC")
		p.read("/w/a")
	}, `in a file "a"`},
	{"fail to empty, then replace", func(p *play) {
		p.open("/w/a", nil, "O_WRONLY", "O_TRUNC")
		p.read("/w/a")
		p.write("/w/t", "x")
		p.rename("/w/t", "/w/a")
	}, `in a file "a"|out a file "x" over file|temporary t`},
	{"fail to make a directory, look", func(p *play) {
		p.event(&events.Event{Op: events.OpCreate, Syscall: "mkdir", Path: "/w/new"})
		p.access("/w/new")
	}, `in new absent`},
	{"fail to rename what is new", func(p *play) {
		p.write("/w/new", "x")
		p.event(&events.Event{Op: events.OpRename, Syscall: "rename", Path: "/w/new", To: "/w/d/b"})
	}, `in d dir|in d/b file|in new absent|out new file "x"`},
	{"fail to rename what is new, look where it should be", func(p *play) {
		p.write("/w/new", "x")
		p.event(&events.Event{Op: events.OpRename, Syscall: "rename", Path: "/w/new", To: "/w/gone"})
		p.access("/w/gone")
	}, `in gone absent|in new absent|out new file "x"`},
	{"change places", func(p *play) {
		p.event(&events.Event{Op: events.OpRename, Syscall: "renameat2", Path: "/w/a", To: "/w/d", Flags: []string{"RENAME_EXCHANGE"}})
		p.fs.exchange("/w/a", "/w/d")
	}, `in a file "a"|in d dir [f:b d:sub]|in d/b file "b"|in d/sub dir [f:c]|in d/sub/c file "c"|out a dir [f:b d:sub] over file|out a/b file "b"|out a/sub dir [f:c]|out a/sub/c file "c"|out d file "a" over dir|removed d/b|removed d/sub|renamed a d|renamed d a`},
	{"chmod in a directory, rename that", func(p *play) {
		p.event(&events.Event{Op: events.OpChattr, Syscall: "chmod", Path: "/w/d/b"})
		p.fs.chmod("/w/d/b", 0o600)
		p.rename("/w/d", "/w/new")
	}, `in d dir [f:b d:sub]|in d/b file "b"|in d/sub dir [f:c]|in d/sub/c file "c"|in new absent|out new dir [f:b d:sub]|out new/b file "b"|out new/sub dir [f:c]|out new/sub/c file "c"|removed d|renamed d new`},
	{"replace a directory", func(p *play) {
		p.rename("/w/d", "/w/new")
		p.mkdir("/w/d")
		p.access("/w/d/b")
	}, `in d dir [f:b d:sub]|in d/b file "b"|in d/sub dir [f:c]|in d/sub/c file "c"|in new absent|out d dir over dir|out new dir [f:b d:sub]|out new/b file "b"|out new/sub dir [f:c]|out new/sub/c file "c"|removed d/b|removed d/sub|renamed d new`},
	{"list, rename, and be told late", func(p *play) {
		p.late = true
		p.stat("/w/d")
		p.list("/w/d")
		p.rename("/w/d", "/w/new")
		p.mkdir("/w/d")
		p.write("/w/d/x", "x")
	}, `in d dir [f:b d:sub]|in d/b file "b"|in d/sub dir [f:c]|in d/sub/c file "c"|in new absent|out d dir over dir|out d/x file "x"|out new dir [f:b d:sub]|out new/b file "b"|out new/sub dir [f:c]|out new/sub/c file "c"|removed d/b|removed d/sub|renamed d new`},
	{"read what somebody else put into a new directory", func(p *play) {
		p.mkdir("/w/new")
		p.fs.write("/w/new/x", "x")
		p.read("/w/new/x")
		p.stat("/w/new/x")
	}, `in new absent|incomplete changed_during_run new/x: somebody else put it into a directory that the command made|out new dir`},
	{"make a directory, and at the same time something in it", func(p *play) {
		p.event(&events.Event{Op: events.OpCreate, Syscall: "mkdir", Path: "/w/new/sub"})
		p.mkdir("/w/new")
		p.fs.mkdir("/w/new/sub")
		p.list("/w/new")
		p.write("/w/new/sub/x", "x")
	}, `in new absent|in new/sub absent|out new dir [d:sub]|out new/sub dir|out new/sub/x file "x"`},
	{"list what somebody else put into a new directory", func(p *play) {
		p.mkdir("/w/new")
		p.write("/w/new/y", "x")
		p.fs.write("/w/new/x", "x")
		p.list("/w/new")
	}, `in new absent|incomplete changed_during_run new/x: somebody else put it into a directory that the command made|out new dir [f:x f:y]|out new/y file "x"`},
	{"look at a link, remove it, and be told late", func(p *play) {
		p.late = true
		p.stat("/w/l")
		p.unlink("/w/l")
		p.fs.symlink("/w/l", "elsewhere")
		p.event(&events.Event{Op: events.OpCreate, Syscall: "symlink", Path: "/w/l", State: events.StateAbsent})
	}, `in l symlink -> a|out l symlink -> elsewhere over symlink`},
	{"not allowed to read", func(p *play) { p.fs.chmod("/w/a", 0o200); p.fs.later(); p.read("/w/a") }, `in a file`},
	{"root not allowed to read", func(p *play) {
		p.fs.root = true
		p.fs.chmod("/w/a", 0o200)
		p.fs.later()
		p.read("/w/a")
	}, `in a file|incomplete changed_during_run a: could not be read as it was: permission denied`},
	{"not allowed to read what is executed", func(p *play) {
		p.fs.chmod("/w/a", 0o100)
		p.fs.later()
		p.event(&events.Event{Op: events.OpExec, Syscall: "execve", Path: "/w/a"})
	}, `in a file|incomplete opaque_process a: a program that may not be read`},
	{"mount", func(p *play) {
		p.fs.root = true
		p.event(&events.Event{Op: events.OpStat, Syscall: "mount", Path: "/w/a", To: "/w/d"})
	}, `in a file|in d dir|incomplete other_mount_namespace it mounts something: /w/a`},
	{"an inode number is used again", func(p *play) {
		p.write("/w/t", "x")
		p.open("/w/t", &other, "O_WRONLY")
		used := p.fs.files["/w/t"].info.Ino
		p.unlink("/w/t")
		p.fs.write("/w/new", "x") // somebody else
		p.fs.files["/w/new"].info.Ino = used
		p.read("/w/new")
	}, `in new file|incomplete changed_during_run new: has the inode number of a file that the command wrote and removed|temporary t`},
	{"somebody edits an input and sets its time back", func(p *play) {
		p.fs.reading = func(string) {
			p.fs.reading = nil
			was := p.fs.files["/w/a"].info.Mtime
			p.fs.write("/w/a", "x")
			p.fs.files["/w/a"].info.Mtime = was
		}
		p.read("/w/a")
		p.hashed()
	}, `in a file|incomplete changed_during_run a: changed after its first use, before it was hashed`},
	{"volatile", func(p *play) { p.read("/proc/self/maps"); p.open("/dev/null", nil, "O_WRONLY") }, ``},
	{"somebody edits an input", func(p *play) { p.read("/w/a"); p.hashed(); p.fs.write("/w/a", "x") }, `in a file "a"|incomplete changed_during_run a: changed`},
	{"somebody makes what was absent", func(p *play) { p.read("/w/gone"); p.fs.write("/w/gone", "x") }, `in gone absent|incomplete changed_during_run gone: was absent, is file now`},
	{"somebody adds to a listed directory", func(p *play) { p.list("/w/d"); p.fs.write("/w/d/x", "") }, `in d dir [f:b d:sub]|incomplete changed_during_run d: its entries changed`},
	{"somebody adds to a directory as it is listed", func(p *play) {
		at := p.fs.now()
		p.fs.write("/w/d/x", "")
		p.ok(p.r.Event(&events.Event{PID: 1, Time: at, Op: events.OpList, Syscall: "getdents64", Path: "/w/d", State: events.StateDir}))
	}, `in d dir [f:b d:sub f:x]|incomplete changed_during_run d: its entries changed as it was listed`},
	{"somebody edits an input before the command writes it", func(p *play) {
		p.stat("/w/a")
		p.fs.write("/w/a", "x")
		p.read("/w/a")
		p.write("/w/a", "other")
	}, `in a file size 1|incomplete changed_during_run a: could not be read as it was: changed|incomplete changed_during_run a: was changed before the command came to it again|out a file "other" over file`},
}

func TestFold(t *testing.T) {
	for _, tt := range folds {
		t.Run(tt.name, func(t *testing.T) {
			p := playFold(t, tt.do)
			got := summary(p.end(), "a", "b", "c", "x", "a+", other, empty)
			want := strings.ReplaceAll(tt.want, "|", "\n")
			if want != "" {
				want += "\n"
			}
			if got != want {
				t.Errorf("got:\n%s\nwant:\n%s", got, want)
			}
			checkPlay(t, p, tt.name)
		})
	}
}

// playFold plays a session in a directory with some files.
func playFold(t *testing.T, do func(*play)) *play {
	t.Helper()
	fs := newFakeFS()
	fs.write("/w/a", "a")
	fs.symlink("/w/l", "a")
	fs.mkdir("/w/d")
	fs.write("/w/d/b", "b")
	fs.mkdir("/w/d/sub")
	fs.write("/w/d/sub/c", "c")
	fs.later()
	p := newPlay(t, fs, Options{})
	do(p)
	fs.later()
	return p
}

// checkPlay checks the manifest on what the session has left: it must be valid, if
// it is complete.
func checkPlay(t *testing.T, p *play, name string) {
	t.Helper()
	m, err := Decode(strings.NewReader(p.out.String()))
	if err != nil {
		t.Fatalf("%v\n%s", err, &p.out)
	}
	if !m.Complete() {
		return
	}
	list, err := checkBothWays(m, CheckOptions{}, p.fs)
	if err != nil || len(list) > 0 {
		t.Errorf("check: %v %v", list, err)
	}
}
