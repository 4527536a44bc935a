package resolve

import (
	"bytes"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// A mount is a line of /proc/PID/mountinfo: proc_pid_mountinfo(5).
type mount struct {
	id, parent int
	dev        uint64 // as stat(2) has it
	root       string // what of the file system is there: "/", or a directory of it
	point      string // where, from the root of the thread whose mountinfo it is
	kind       string // the type of its file system
	shared     bool   // what is mounted on it is mounted elsewhere as well
}

// A mountTable is the mounts that a thread's paths can lead to.
type mountTable struct {
	list []mount
	// on has, by a mount's id, what is mounted on it.
	on  map[int][]*mount
	top *mount // where "/" leads; nil if the thread's root is not a mount's
}

// parseMounts reads a mountinfo. Lines that it does not understand are left out.
func parseMounts(data []byte) *mountTable {
	var list []mount
	for line := range bytes.Lines(data) {
		if m, ok := parseMount(string(bytes.TrimSuffix(line, []byte("\n")))); ok {
			list = append(list, m)
		}
	}
	return newMountTable(list)
}

func newMountTable(list []mount) *mountTable {
	t := &mountTable{list: list, on: make(map[int][]*mount)}
	byID := make(map[int]*mount, len(t.list))
	for i := range t.list {
		byID[t.list[i].id] = &t.list[i]
	}
	for i := range t.list {
		m := &t.list[i]
		if byID[m.parent] != nil && m.parent != m.id {
			t.on[m.parent] = append(t.on[m.parent], m)
		} else if m.point == "/" {
			t.top = m
		}
	}
	return t
}

func parseMount(line string) (m mount, ok bool) {
	// 36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw,errors=continue
	head, tail, ok := strings.Cut(line, " - ")
	fields := strings.Split(head, " ")
	if !ok || len(fields) < 6 {
		return m, false
	}
	m.kind, _, _ = strings.Cut(tail, " ")
	m.shared = strings.Contains(head, " shared:")
	major, minor, _ := strings.Cut(fields[2], ":")
	var numbers [4]int
	for i, s := range []string{fields[0], fields[1], major, minor} {
		n, err := strconv.Atoi(s)
		if err != nil {
			return m, false
		}
		numbers[i] = n
	}
	m.id, m.parent = numbers[0], numbers[1]
	m.dev = unix.Mkdev(uint32(numbers[2]), uint32(numbers[3]))
	m.root, m.point = unescape(fields[3]), unescape(fields[4])
	return m, true
}

// unescape undoes what the kernel writes for blanks in names: "\040".
func unescape(s string) string {
	if !strings.Contains(s, `\`) {
		return s
	}
	b := make([]byte, 0, len(s))
	for ; len(s) > 0; s = s[1:] {
		if s[0] == '\\' && len(s) >= 4 {
			if n, err := strconv.ParseUint(s[1:4], 8, 8); err == nil {
				b = append(b, byte(n))
				s = s[3:]
				continue
			}
		}
		b = append(b, s[0])
	}
	return string(b)
}

// cover returns the mount that a canonical path is on, nil if that is not in the table.
// It goes down from the root as the kernel does, so that a mount that another one hides
// is not found.
func (t *mountTable) cover(path string) *mount {
	if t == nil {
		return nil
	}
	m := t.top
	for m != nil {
		var next *mount
		for _, c := range t.on[m.id] {
			if isBelow(path, c.point) && isBelow(c.point, m.point) && (next == nil || len(c.point) < len(next.point)) {
				next = c
			}
		}
		if next == nil {
			break
		}
		m = next
	}
	return m
}

// isBelow reports whether a canonical path is dir, or below it.
func isBelow(path, dir string) bool {
	return dir == "/" || strings.HasPrefix(path, dir) && (len(path) == len(dir) || path[len(dir)] == '/')
}
