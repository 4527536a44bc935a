package verdicts

import (
	"encoding/binary"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fstrace/fstrace/testdata/harness"
	"golang.org/x/sys/unix"
)

// mount mounts what is at source, and unmounts it at the test's end.
func (l *verdictLab) mount(t *testing.T, source, target string, args ...string) {
	t.Helper()
	harness.Mkdir(t, target)
	if out, err := exec.Command("mount", append(args, source, target)...).CombinedOutput(); err != nil {
		t.Skipf("needs to mount %s: %v: %s", strings.Join(args, " "), err, out)
	}
	t.Cleanup(func() { l.unmount(t, target) })
}

func (l *verdictLab) unmount(t *testing.T, target string) {
	t.Helper()
	if err := unix.Unmount(target, 0); err != nil && err != unix.EINVAL { // EINVAL: it is not mounted any more
		t.Errorf("unmount %s: %v", target, err)
	}
}

// TestVerdictFixedTimes: a file of an image that was built reproducibly has the inode
// number, the size and the times of the one before, and holds something else.
func TestVerdictFixedTimes(t *testing.T) {
	l := newVerdictLab(t)
	mksquashfs := harness.NeedTool(t, "mksquashfs")
	src, at := filepath.Join(l.base, "src"), filepath.Join(l.base, "mnt")
	for _, content := range []string{"aaa", "bbb"} {
		harness.WriteFile(t, filepath.Join(src, "f"), content)
		cmd := exec.Command(mksquashfs, src, filepath.Join(l.base, content), "-all-time", "0", "-mkfs-time", "0", "-quiet", "-no-progress")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
	}
	p := &program{Shell: true, Lines: []string{"cat " + filepath.Join(at, "f")}}
	empty := tree{".": {Type: 'd', Mode: 0o755, Mtime: pristineTime}}
	l.mount(t, filepath.Join(l.base, "aaa"), at, "-o", "loop,ro")
	if _, _, err := l.traced(p, empty); err != nil {
		t.Fatal(err)
	}
	l.want(t, p, "at once", harness.ExitValid, false)
	l.unmount(t, at)
	l.mount(t, filepath.Join(l.base, "bbb"), at, "-o", "loop,ro")
	l.want(t, p, "another image", harness.ExitStale, false)
	l.want(t, p, "another image", harness.ExitStale, true)
	// A record of the new one has the new hash.
	if _, _, err := l.traced(p, empty); err != nil {
		t.Fatal(err)
	}
	l.want(t, p, "at once", harness.ExitValid, false)
	l.unmount(t, at)
	l.mount(t, filepath.Join(l.base, "aaa"), at, "-o", "loop,ro")
	l.want(t, p, "the first image", harness.ExitStale, false)
	l.unmount(t, at)
}

// TestVerdictDiskSetBack: so has a file of a disk that was set back to an older state.
func TestVerdictDiskSetBack(t *testing.T) {
	l := newVerdictLab(t)
	mkfs := harness.NeedTool(t, "mkfs.ext4")
	image, at := filepath.Join(l.base, "image"), filepath.Join(l.base, "mnt")
	if err := os.WriteFile(image, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(image, 8<<20); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(mkfs, "-q", "-F", image).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	l.mount(t, image, at, "-o", "loop")
	harness.WriteFile(t, filepath.Join(at, "f"), "the first content")
	l.unmount(t, at)
	content, err := os.ReadFile(image)
	if err != nil {
		t.Fatal(err)
	}
	other := strings.ReplaceAll(string(content), "the first content", "the other content")
	if other == string(content) {
		t.Fatal("the file's content is not in the image")
	}
	if err := os.WriteFile(image+"2", []byte(other), 0o644); err != nil {
		t.Fatal(err)
	}
	p := &program{Shell: true, Lines: []string{"cat " + filepath.Join(at, "f")}}
	l.mount(t, image, at, "-o", "loop,ro")
	if _, _, err := l.traced(p, tree{".": {Type: 'd', Mode: 0o755, Mtime: pristineTime}}); err != nil {
		t.Fatal(err)
	}
	l.want(t, p, "at once", harness.ExitValid, false)
	l.unmount(t, at)
	l.mount(t, image+"2", at, "-o", "loop,ro")
	l.want(t, p, "another state of the disk", harness.ExitStale, false)
	l.want(t, p, "another state of the disk", harness.ExitStale, true)
	l.unmount(t, at)
}

// TestVerdictBindMount: a directory has two names. What the command changes by one of
// them is changed by the other.
func TestVerdictBindMount(t *testing.T) {
	l := newVerdictLab(t)
	for _, tt := range []struct{ name, command, change string }{
		{"a link", "cat a/l/f; ln -sfn ../y b/l; cat a/l/f", "echo three >y/f"},
		{"a file", "cat a/g; echo new >b/g; cat a/g", "echo other >a/g"},
		{"a listing", "ls a; touch b/new; ls a", "rm a/new"},
	} {
		t.Run(strings.ReplaceAll(tt.name, " ", "_"), func(t *testing.T) {
			before := tree{
				".": {Type: 'd', Mode: 0o755}, "a": {Type: 'd', Mode: 0o755}, "b": {Type: 'd', Mode: 0o755},
				"x": {Type: 'd', Mode: 0o755}, "x/f": {Type: 'f', Mode: 0o644, Content: "one\n"},
				"y": {Type: 'd', Mode: 0o755}, "y/f": {Type: 'f', Mode: 0o644, Content: "two\n"},
				"a/l": {Type: 'l', Content: "../x"}, "a/g": {Type: 'f', Mode: 0o644, Content: "old\n"},
			}
			for name, n := range before {
				n.Mtime = pristineTime
				before[name] = n
			}
			if err := l.restore(before); err != nil {
				t.Fatal(err)
			}
			l.mount(t, filepath.Join(l.dir, "a"), filepath.Join(l.dir, "b"), "--bind")
			defer l.unmount(t, filepath.Join(l.dir, "b"))
			p := &program{Shell: true}
			argv := []string{l.fstrace, "-q", "-f", "manifest", "-o", l.manifest, "--", "/bin/sh", "-c", tt.command}
			if end, err := l.exec(rootUID, l.dir, argv...); err != nil || end.status != 0 {
				t.Fatal(end, err)
			}
			// It may be that no promise is made.
			if end, err := l.exec(rootUID, l.dir, "/bin/sh", "-c", tt.change); err != nil || end.status != 0 {
				t.Fatal(end, err)
			}
			l.want(t, p, tt.change, notValid, false)
		})
	}
}

// TestVerdictDamage: a manifest in which any one bit is another is refused, or says what
// it said.
func TestVerdictDamage(t *testing.T) {
	l := newVerdictLab(t)
	before := tree{
		".": {Type: 'd', Mode: 0o755, Mtime: pristineTime},
		"f": {Type: 'f', Mode: 0o644, Content: "aaa\n", Mtime: pristineTime},
	}
	p := &program{Lines: []string{"read,f", "list,.", "stat,a,e"}}
	if _, _, err := l.traced(p, before); err != nil {
		t.Fatal(err)
	}
	l.want(t, p, "at once", harness.ExitValid, false)
	whole, err := os.ReadFile(l.manifest)
	if err != nil {
		t.Fatal(err)
	}
	harness.WriteFile(t, filepath.Join(l.dir, "f"), "bbb\n")
	l.want(t, p, "edited", harness.ExitStale, false)
	try := func(name string, damaged []byte) {
		t.Helper()
		if err := os.WriteFile(l.manifest, damaged, 0o644); err != nil {
			t.Fatal(err)
		}
		status, _, err := l.check(p, false)
		if err != nil {
			t.Fatal(err)
		}
		if status == harness.ExitValid {
			t.Errorf("%s: valid", name)
		}
	}
	try("another key", []byte(strings.Replace(string(whole), `"sha256"`, `"sha356"`, 1)))
	try("another key everywhere", []byte(strings.ReplaceAll(string(whole), `"sha256"`, `"sha356"`)))
	try("an entry twice", []byte(strings.Replace(string(whole), `"complete":true,`, "\"complete\":true,\n\"inputs\":[],", 1)))
	try("cut off", whole[:len(whole)/2])
	// The bits in the places of a fixed sequence.
	tries := 40
	if rounds := harness.StormRounds(t, 0); rounds > 0 {
		tries = 20 * rounds
	}
	for i := range tries {
		var seed [8]byte
		binary.LittleEndian.PutUint64(seed[:], uint64(i)*2654435761)
		at := int(binary.LittleEndian.Uint64(seed[:]) % uint64(len(whole)*8))
		damaged := append([]byte(nil), whole...)
		damaged[at/8] ^= 1 << (at % 8)
		try("a bit", damaged)
	}
}
