package resolve

import (
	"strings"
	"testing"
)

const sampleMounts = `27 1 254:0 / / rw,relatime - ext4 /dev/vda rw
22 27 0:21 / /proc rw,relatime - proc proc rw
40 27 0:40 /a\040b /mnt/with\040blank rw shared:1 master:2 - fuse.bindfs /x rw
41 27 254:0 /home/u /mnt/bound rw - ext4 /dev/vda rw
42 41 0:42 / /mnt/bound/in rw - tmpfs none rw
43 41 0:43 / /mnt/bound rw - tmpfs over rw
44 43 0:44 / /mnt/bound rw - tmpfs again rw
garbage
45 27 x:0 / /mnt/garbage rw - tmpfs none rw
`

func TestParseMounts(t *testing.T) {
	table := parseMounts([]byte(sampleMounts))
	if len(table.list) != 7 || table.top == nil || table.top.id != 27 {
		t.Fatalf("%+v", table)
	}
	if m := table.list[2]; m.root != "/a b" || m.point != "/mnt/with blank" || m.kind != "fuse.bindfs" || m.dev != 40 {
		t.Errorf("%+v", m)
	}
	if m := table.list[0]; m.dev != 254<<8 {
		t.Errorf("device %#x", m.dev)
	}
}

// TestCover: a mount that another one hides leads nowhere.
func TestCover(t *testing.T) {
	table := parseMounts([]byte(sampleMounts))
	for path, want := range map[string]int{
		"/": 27, "/usr": 27, "/procs": 27, "/proc": 22, "/proc/1": 22, "/mnt": 27,
		"/mnt/with blank/x": 40, "/mnt/bound": 44, "/mnt/bound/in": 44, "/mnt/bound/in/x": 44,
	} {
		if m := table.cover(path); m == nil || m.id != want {
			t.Errorf("%s is on %+v, want %d", path, m, want)
		}
	}
	if m := new(mountTable).cover("/x"); m != nil {
		t.Errorf("on no mount: %+v", m)
	}
}

// TestServed: mounts of before are waited for, unless they are slow.
func TestServed(t *testing.T) {
	s := Served{file: -1, before: map[uint64]bool{}, paths: new(ServedPaths)}
	for i, m := range parseMounts([]byte(sampleMounts)).list {
		if isRemote(m.kind) {
			s.points = append(s.points, &ServedMount{id: i, point: strings.TrimSuffix(m.point, "/")})
		}
	}
	s.publish()
	for path, want := range map[string]bool{
		"/": false, "/mnt": false, "/mnt/with blank": true, "/mnt/with blank/x": true, "/mnt/with blanks": false,
	} {
		if got := s.Of([]byte(path)) != nil; got != want {
			t.Errorf("%s: %v", path, got)
		}
		if got := s.paths.Has(path); got != want {
			t.Errorf("%s, for others: %v", path, got)
		}
	}
}
