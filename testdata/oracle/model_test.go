package oracle

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/fstrace/fstrace/testdata/harness"
)

// One small command in strace's words: a shell that changes directory, makes a
// child that changes its own, and a thread that shares the shell's.
func TestStraceAccesses(t *testing.T) {
	dir := t.TempDir()
	harness.Mkdir(t, dir+"/a/b")
	harness.WriteFile(t, dir+"/a/script", "#! /bin/interpreter -x\n")
	threads := map[int][]tracedCall{}
	for tid, lines := range map[int]string{
		1: `execve("a/script", ["x"], 0x1 /* 1 var */) = 0
			chdir("a") = 0
			clone(child_stack=NULL, flags=CLONE_CHILD_SETTID|SIGCHLD, child_tidptr=0x1) = 2
			access("x", F_OK) = -1 ENOENT (No such file or directory)
			clone3({flags=CLONE_VM|CLONE_FS|CLONE_FILES, stack=0x1}, 88) = 3
			stat("../y", 0x1) = -1 ENOENT (No such file or directory)
			getcwd("DIR/a", 4096) = 6`,
		2: `chdir("b") = 0
			readlink("z", 0x1, 64) = -1 ENOENT (No such file or directory)
			chdir("gone") = -1 ENOENT (No such file or directory)
			rename("old", "../new") = 0
			mkdir("made", 0777) = 0
			openat(AT_FDCWD<DIR/a/b>, "made", O_RDONLY|O_CLOEXEC) = 3<DIR/a/b/made>
			openat(3<DIR/a/b/made>, "in", O_RDONLY) = -1 ENOENT (No such file or directory)
			getdents64(3<DIR/a/b/made>, 0x1 /* 2 entries */, 32768) = 48`,
		3: `openat(AT_FDCWD<DIR/a>, "w", O_WRONLY|O_CREAT|O_TRUNC, 0666) = 4<DIR/a/w>
			fchmod(4<DIR/a/w>, 0600) = 0
			newfstatat(5<pipe:[1]>, "", {st_mode=S_IFIFO|0600}, AT_EMPTY_PATH) = 0
			statx(4<DIR/a/w>, "", AT_EMPTY_PATH, STATX_ALL, {stx_mask=0}) = 0
			utimensat(4<DIR/a/w>, NULL, NULL, 0) = 0
			connect(6<socket:[1]>, {sa_family=AF_UNIX, sun_path="sock"}, 7) = -1 ENOENT (No such file or directory)
			connect(6<socket:[1]>, {sa_family=AF_UNIX, sun_path=@"abstract"}, 11) = -1 ECONNREFUSED (Connection refused)
			sendto(6<socket:[1]>, "x", 1, 0, {sa_family=AF_UNIX, sun_path="log"}, 6) = 1
			sendto(6<socket:[1]>, "x", 1, 0, NULL, 0) = 1
			sendmsg(6<socket:[1]>, {msg_name={sa_family=AF_UNIX, sun_path="notify"}, msg_namelen=9, msg_iov=NULL}, 0) = 0
			sendmsg(6<socket:[1]>, {msg_name=NULL, msg_namelen=0, msg_iov=NULL}, 0) = 0`,
	} {
		for _, line := range strings.Split(strings.ReplaceAll(lines, "DIR", dir), "\n") {
			call, err := parseLine(strings.TrimSpace(line))
			if err != nil {
				t.Fatal(err)
			}
			threads[tid] = append(threads[tid], call)
		}
	}
	accesses, err := accessesOf(threads, dir)
	if err != nil {
		t.Fatal(err)
	}
	want := []Access{
		{"chattr", "/a/w", ""},
		{"chdir", "/a", ""},
		{"chdir", "/a/b", ""},
		{"chdir", "/a/b/gone", ""},
		{"create", "/a/b/made", ""},
		{"exec", "/a/script", ""},
		{"list", "/a/b/made", ""},
		{"read", "/a/b/made/in", ""},
		{"readlink", "/a/b/z", ""},
		{"rename", "/a/b/old", "/a/new"},
		{"stat", "/a/b/made", ""},
		{"stat", "/a/log", ""},
		{"stat", "/a/notify", ""},
		{"stat", "/a/sock", ""},
		{"stat", "/a/w", ""},
		{"stat", "/a/x", ""},
		{"stat", "/y", ""},
		{"write", "/a/w", ""},
	}
	for i := range want {
		want[i].Path = dir + want[i].Path
		if want[i].To != "" {
			want[i].To = dir + want[i].To
		}
	}
	want = append(want, Access{"exec", "/bin/interpreter", ""})
	for i := range want { // /bin may be a link
		want[i].Path = kernelPath("/", want[i].Path)
	}
	compare := func(a, b Access) int { return strings.Compare(a.String(), b.String()) }
	slices.SortFunc(want, compare)
	if got := slices.SortedFunc(maps.Keys(accesses), compare); !slices.Equal(got, want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}

	threads[9] = nil
	if _, err := accessesOf(threads, dir); err == nil {
		t.Error("a thread that nobody made was taken")
	}
	delete(threads, 9)
	threads[3] = append(threads[3], tracedCall{name: "newcall", args: []string{`"x"`}, ret: "0"})
	if _, err := accessesOf(threads, dir); err == nil {
		t.Error("a call of no known shape was taken")
	}
}
