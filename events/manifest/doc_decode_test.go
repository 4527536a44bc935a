package manifest

import (
	"bytes"
	"errors"
	"hash/crc32"
	"path"
	"strings"
	"testing"
	"time"

	"github.com/fstrace/fstrace/events"
	"github.com/google/go-cmp/cmp"
)

// sample has something of everything.
func sample() *Manifest {
	m := &Manifest{
		Session: "s", Argv: []string{"cc", "bad\xff"}, Cwd: "/w", Exit: events.Exit{Signal: "SIGSEGV", Core: true},
		Surroundings: &Surroundings{
			UID: 5, GID: 7, Umask: 0o22, Stdin: events.DescriptorPipe,
			Environment: []Variable{
				{Name: "A", Digest: strings.Repeat("0", 32)},
				{Name: "B\xff", Digest: strings.Repeat("1", 32), Value: "\xff"},
				{Name: "C", Digest: strings.Repeat("2", 32), Value: "c"},
			},
		},
		External: []External{
			{Kind: ExternalNetwork, Address: "inet 127.0.0.1:80", Descriptor: -1},
			{Kind: ExternalPipe, Descriptor: 0},
			{Kind: ExternalSocket, Path: "/run/s\xff", Descriptor: -1},
		},
		Root: "/w", Ignore: []string{"*.log"}, Record: "/m.json",
		Incomplete: []events.Incomplete{{Reason: events.ReasonChanged, PID: 7, Detail: "x\xff"}},
		Inputs: []Entry{
			{Path: "/w/a", State: events.StateFile, Ops: []events.Op{events.OpRead}, SHA256: sumOf("a"), Size: 1, Mtime: unset, UID: unset, GID: unset, Links: unset, Told: untold, Mode: 0o644},
			{Path: "/w/caf\xe9", State: events.StateFile, Ops: []events.Op{events.OpStat}, Size: 1, Mtime: 1_700_000_000_123_456_789, UID: 5, GID: 7, Links: 2, Told: untold, Mode: 0o4755},
			{Path: "/w", State: events.StateDir, Ops: []events.Op{events.OpList}, Size: unset, Mtime: unset, UID: unset, GID: unset, Links: unset, Told: untold, Mode: 0o755},
			{Path: "/x", State: events.StateSymlink, Ops: []events.Op{events.OpReadlink}, Size: unset, Mtime: unset, UID: unset, GID: unset, Links: unset, Told: untold, Target: "t\xff"},
			{Path: "/y", State: events.StateAbsent, Ops: []events.Op{events.OpStat, events.OpExec}, Size: unset, Mtime: unset, UID: unset, GID: unset, Links: unset, Told: untold},
		},
		Outputs:   []Entry{{Path: "/w/a", State: events.StateFile, SHA256: sumOf("x"), Size: 1, Mtime: unset, UID: unset, GID: unset, Links: unset, Told: untold, Mode: 0o644, Before: events.StateFile}},
		Removed:   []string{"/w/r\xff"},
		Temporary: []string{"/tmp/t"},
		Forgotten: []Forgotten{
			{Dir: "/tmp", Count: 3, Filter: make([]byte, 8), Except: []string{"a", "b\xff"}},
			{Dir: "/w/d\xff", Count: 1, Any: true},
			{Dir: "/w/e", Count: 1},
		},
		Renamed:   []Renaming{{"/w/r\xff", "/w/s"}},
		Volatile:  []string{"/dev/null"},
		Processes: []Process{{PID: 1, From: -1, Argv: []string{"cc"}, Exe: "/cc"}, {PID: 2, PPID: 1, From: 0, Argv: []string{"as"}, Exit: &events.Exit{Code: 1}}},
		Accesses: []Access{
			{Path: "/w/a", Op: events.OpRead, State: events.StateFile, Process: 1, Syscall: "open", As: "../a", Links: []events.Link{{Path: "/x", Target: "t\xff"}}},
			{Path: "/y", Op: events.OpExec, State: events.StateAbsent, Process: -1},
		},
	}
	m.Inputs[0].Told = Told{Mtime: 1_700_000_000_000_000_000, Links: 3, UID: 6, GID: 8}
	m.Inputs = append(m.Inputs, newEntry("/w/a/b", events.StateAbsent), newEntry("/w/kept", events.StateDir))
	m.Inputs[5].Error, m.Inputs[6].NotEmpty = "ENOTDIR", true
	m.Inputs[5].Ops, m.Inputs[6].Ops = []events.Op{events.OpRead}, []events.Op{events.OpDelete}
	m.Outputs = append(m.Outputs, newEntry("/w/log", events.StateFile))
	m.Outputs[1].Shared, m.Outputs[1].Before = true, events.StateFile
	m.Inputs[2].Names = []string{"f:a", "d:b", "l:\xff"}
	m.Inputs[2].Entries = hashNames(m.Inputs[2].Names)
	m.sort()
	return m
}

func TestRoundTrip(t *testing.T) {
	for _, root := range []string{"", "/w", "/"} {
		want := sample()
		want.Root = root
		var doc bytes.Buffer
		if err := want.Encode(&doc); err != nil {
			t.Fatal(err)
		}
		if err := readSchema(t).validate(doc.Bytes()); err != nil {
			t.Error(err)
		}
		got, err := Decode(&doc)
		if err != nil {
			t.Fatal(err)
		}
		for i := range got.Outputs { // Ops is [] in the document
			got.Outputs[i].Ops = nil
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("root %q: %s", root, diff)
		}
	}
}

// seal puts the right checksum at the end of a changed document.
func seal(doc string) string {
	if at := strings.LastIndex(doc, checksumKey); at >= 0 {
		doc = doc[:at]
	}
	return string(appendChecksum([]byte(doc), crc32.Checksum([]byte(doc), castagnoli())))
}

func TestDecodeDamaged(t *testing.T) {
	var doc bytes.Buffer
	if err := sample().Encode(&doc); err != nil {
		t.Fatal(err)
	}
	whole := doc.String()
	for cut := range len(whole) - 2 {
		if _, err := Decode(strings.NewReader(whole[:cut])); !errors.Is(err, ErrDamaged) {
			t.Fatalf("cut off after %d bytes: %v", cut, err)
		}
	}
	for _, change := range [][2]string{
		{`"complete":false`, `"complete":true`},
		{`"state":"file"`, `"state":"files"`},
		{`"outputs":`, `"putouts":`},
		{`"inputs":[`, `"inputs":null,"x":[`},
		{`"path":"a"`, `"path":"../a"`},
		{`"path":"a"`, `"path":"/w/./a"`},
		{`"path":"a"`, `"path":""`},
		{`"path":"/y"`, `"path":"a"`}, // twice
		{`"f:a"`, `"f:b"`},
		{`"f:a"`, `"a"`},
		{`"mode":"0644"`, `"mode":"644"`},
		{`,"mode":"0644"`, ``},
		{`"size":1,`, ``},
		{`"process":1`, `"process":2`},
		{`"from":0`, `"from":1`},
		{`"code":1`, `"kode":1`},
		{`"sha256":"`, `"sha256":"A`},
		{`"cc"`, "\"c\xff\""},
		{`"ignore":["*.log"]`, `"ignore":["["]`},
		{`"dir":"/tmp"`, `"dir":"tmp/."`},
		{`"dir":"e"`, `"dir":"/tmp"`}, // twice
		{`"count":3`, `"count":0`},
		{`"filter":"AAAAAAAAAAA="`, `"filter":"AAAA"`},
		{`"filter":"AAAAAAAAAAA="`, `"filter":"AAAAAAAAAAA=","any":true`},
		{`"except":["a"`, `"except":["a/b"`},
	} {
		bad := strings.Replace(whole, change[0], change[1], 1)
		if bad == whole {
			t.Errorf("nothing to replace: %s", change[0])
		}
		for _, doc := range []string{bad, seal(bad)} {
			if _, err := Decode(strings.NewReader(doc)); !errors.Is(err, ErrDamaged) {
				t.Errorf("%s instead of %s: %v", change[1], change[0], err)
			}
		}
	}
	if _, err := Decode(strings.NewReader(whole + "{}")); !errors.Is(err, ErrDamaged) {
		t.Errorf("something behind it: %v", err)
	}
	newer := strings.Replace(whole, `"fstrace":1`, `"fstrace":2,"inputs":{}`, 1)
	if _, err := Decode(strings.NewReader(newer)); !errors.Is(err, ErrVersion) {
		t.Errorf("a newer version: %v", err)
	}
	later := strings.Replace(whole, `"fstrace":1,`, `"fstrace":1,"added":{"later":[1]},`, 1)
	if _, err := Decode(strings.NewReader(seal(later))); err != nil {
		t.Errorf("an unknown field: %v", err)
	}
}

// FuzzDecode: whatever Decode accepts is encoded such that it decodes to the same.
func FuzzDecode(f *testing.F) {
	var doc bytes.Buffer
	if err := sample().Encode(&doc); err != nil {
		f.Fatal(err)
	}
	f.Add(doc.Bytes())
	f.Add([]byte(`{"fstrace":1,"command":{"argv":[],"exit":{"code":0}},"complete":true,"incomplete":[],"inputs":[],"outputs":[]}`))
	f.Add([]byte(`{"fstrace":2}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := Decode(strings.NewReader(seal(string(data))))
		if err != nil {
			if !errors.Is(err, ErrDamaged) && !errors.Is(err, ErrVersion) {
				t.Fatalf("an error of no kind: %v", err)
			}
			return
		}
		var first, second bytes.Buffer
		if err := m.Encode(&first); err != nil {
			t.Fatal(err)
		}
		again, err := Decode(bytes.NewReader(first.Bytes()))
		if err != nil {
			t.Fatalf("%v\n%s", err, &first)
		}
		if err := again.Encode(&second); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(first.Bytes(), second.Bytes()) {
			t.Errorf("not canonical:\n%s\n%s", &first, &second)
		}
	})
}

// TestIsClean: a path is clean if path.Clean leaves it as it is.
func TestIsClean(t *testing.T) {
	const letters = "/.a"
	for n, length := 1, 1; length <= 7; n, length = n*len(letters), length+1 {
		for i := range n * len(letters) {
			s := ""
			for range length {
				s += string(letters[i%len(letters)])
				i /= len(letters)
			}
			if got, want := isClean(s), path.IsAbs(s) && path.Clean(s) == s; got != want {
				t.Errorf("isClean(%q) = %t", s, got)
			}
		}
	}
	if isClean("") {
		t.Error("an empty path is clean")
	}
}

// FuzzTime: a time is the same whether or not its minute is known, and as package time
// parses it.
func FuzzTime(f *testing.F) {
	for _, s := range []string{
		"2026-11-21T18:42:01.5Z", "2026-11-21T18:42:59Z", "2026-11-21T18:42:01.123456789Z", "2026-11-21T18:42:01+01:00",
		"2026-11-21T18:42:60Z", "2026-11-21T18:42:01.Z", "2026-11-21T18:42:01,5Z", "1969-12-31T23:59:59.9Z", "9999-12-31T23:59:59Z",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if s == "" {
			return
		}
		var p parser
		p.mtime("/", "2026-11-21T18:42:07.25Z")
		var fresh parser
		got, want := p.mtime("/", s), fresh.mtime("/", s)
		again := fresh.mtime("/", s)
		if (p.err == nil) != (fresh.err == nil) || p.err == nil && (got != want || again != want) {
			t.Errorf("%q: %d (%v), then %d; by itself %d (%v)", s, got, p.err, again, want, fresh.err)
		}
		at, err := time.Parse(time.RFC3339Nano, s)
		if p.err == nil && (err != nil || at.UnixNano() != got) {
			t.Errorf("%q: %d, package time: %v (%v)", s, got, at, err)
		}
	})
}
