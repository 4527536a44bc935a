package resolve

import (
	"strings"
	"testing"
)

const hostMounts = `27 1 254:0 / / rw - ext4 /dev/vda rw
22 27 0:21 / /proc rw - proc proc rw
24 27 0:6 / /dev rw - devtmpfs devtmpfs rw
30 27 0:30 / /run rw - tmpfs run rw
31 27 254:1 / /home rw - ext4 /dev/vdb rw
32 27 0:32 / /srv rw - tmpfs hides rw
33 27 254:2 / /hidden rw - ext4 /dev/vdc rw
34 33 0:34 / /hidden rw - tmpfs over rw
`

const sandboxMounts = `90 80 0:90 / / rw - tmpfs newroot rw
91 90 254:0 /usr /usr ro - ext4 /dev/vda ro
92 90 254:1 /u/src /src rw - ext4 /dev/vdb rw
93 90 0:93 / /proc rw - proc proc rw
94 90 0:94 / /dev rw - tmpfs dev rw
95 90 0:95 / /merged rw - overlay overlay rw
96 90 254:0 /srv/x /x rw - ext4 /dev/vda rw
97 90 254:2 /d /y rw - ext4 /dev/vdc rw
98 90 0:30 /user /run/user rw - tmpfs run rw
99 92 254:0 /file /src/file rw - ext4 /dev/vda rw
100 90 0:100 / /mnt/proc rw - proc proc rw
101 90 0:33 / /gone rw - tmpfs gone rw
`

// TestHostPath: what a mount of a namespace shows has the name that the host has for it.
func TestHostPath(t *testing.T) {
	c := &World{served: Served{file: -1, seen: map[uint64]bool{33: true}}}
	s := &space{host: parseMounts([]byte(hostMounts)), table: parseMounts([]byte(sandboxMounts)), origin: c}
	for path, want := range map[string]string{
		"/usr":            "/usr",
		"/usr/bin/cc":     "/usr/bin/cc",
		"/src":            "/home/u/src",
		"/src/a.c":        "/home/u/src/a.c",
		"/src/file":       "/file",
		"/run/user/1":     "/run/user/1",
		"/proc/1/status":  "/proc/1/status",
		"/dev/null":       "/dev/null",
		"/":               "tmpfs:/",
		"/lib":            "tmpfs:/lib",
		"/mnt/proc/1":     "proc:/mnt/proc/1",
		"/merged/usr/x":   "/merged/usr/x is on /merged (overlay), which is mounted nowhere else",
		"/x/f":            "/x/f is on /x (ext4), which is mounted nowhere else", // hidden by a tmpfs
		"/y":              "/y is on /y (ext4), which is mounted nowhere else",   // by another mount
		"/gone/f":         "/gone/f is on /gone (tmpfs), which is mounted nowhere else",
		"/merged/../no":   "/merged/../no is on /merged (overlay), which is mounted nowhere else",
		"/usrlocal/share": "tmpfs:/usrlocal/share",
	} {
		got, lost := s.hostPath(path)
		if lost != nil {
			if got != path {
				t.Errorf("%s has no name on the host, and is called %s", path, got)
			}
			got = lost.Detail
		}
		if got != want {
			t.Errorf("%s: %s, want %s", path, got, want)
		}
	}
	// Where it may be older than the session, nobody knows what a tmpfs held.
	for _, older := range []*space{
		{host: s.host, table: s.table, origin: c, outside: true},
		{host: s.host, table: s.table, origin: &World{spaces: spaces{joined: true}}},
	} {
		if got, lost := older.hostPath("/lib"); got != "/lib" || lost == nil {
			t.Errorf("on a tmpfs of unknown age: %s, %v", got, lost)
		}
	}
	if _, lost := (&space{origin: c}).hostPath("/x"); lost == nil {
		t.Error("without a table: no loss")
	}
}

// TestAnchorName: the kernel finds a path from an anchor, below it or elsewhere.
func TestAnchorName(t *testing.T) {
	for _, test := range []struct{ at, path, want string }{
		{"/", "/a/b", "N/a/b"},
		{"/", "", "N/."},
		{"/r", "/r/a", "N/a"},
		{"/r", "/r", "N/."},
		{"/r/s", "/r/a", "N/../a"},
		{"/r/s", "/ra", "N/../../ra"},
		{"/r/s", "/q/a", "N/../../q/a"},
	} {
		a := anchor{at: test.at, name: "N"}
		if got := string(a.appendName(nil, []byte(test.path))); got != test.want {
			t.Errorf("%s from %s: %s, want %s", test.path, test.at, got, test.want)
		}
	}
}

func TestProcessDir(t *testing.T) {
	for link, want := range map[string]string{
		"/proc/12/root": "/proc/12", "/proc/12/fd/3": "/proc/12", "/proc/12/task/13/cwd": "/proc/12/task/13",
		"/proc/7/root/proc/1/cwd": "/proc/7/root/proc/1",
	} {
		if dir, _ := processDir(link); dir != want {
			t.Errorf("%s: %s, want %s", link, dir, want)
		}
	}
	if _, pid := processDir("/proc/12/fd/3"); pid != 12 {
		t.Errorf("pid %d", pid)
	}
	if dir, pid := processDir(strings.Repeat("/x", 3)); pid != 0 || dir != "/x/x/x" {
		t.Errorf("of no process: %s, %d", dir, pid)
	}
}
