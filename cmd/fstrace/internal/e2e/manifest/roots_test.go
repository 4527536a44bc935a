package manifest

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/fstrace/fstrace/testdata/harness"
)

// Where "/" is another directory, or paths lead to other file systems, a manifest has
// the paths that it can be checked by, or it is incomplete: never wrong and complete.

// A rootTrial is a directory with another root in it.
type rootTrial struct {
	harness.Trial
	fstrace, manifest string
}

func newRootTrial(t *testing.T) *rootTrial {
	t.Helper()
	harness.NeedRoot(t, "to change the root directory and to mount")
	r := &rootTrial{Trial: harness.Trial{Dir: harness.OpenDir(t)}, fstrace: harness.Fstrace(t)}
	r.manifest = filepath.Join(r.Dir, "manifest.json")
	r.Env = []string{"XDG_CACHE_HOME=" + filepath.Join(r.Dir, "cache")}
	busybox, err := os.ReadFile(harness.NeedTool(t, "busybox"))
	if err != nil {
		t.Fatal(err)
	}
	root := filepath.Join(r.Dir, "root")
	harness.Mkdir(t, filepath.Join(root, "mnt"))
	harness.Mkdir(t, filepath.Join(r.Dir, "other"))
	harness.WriteExecutable(t, filepath.Join(root, "busybox"), busybox)
	harness.WriteFile(t, filepath.Join(root, "in.txt"), "in the root\n")
	harness.WriteFile(t, filepath.Join(root, "mnt", "file"), "below\n")
	harness.WriteFile(t, filepath.Join(r.Dir, "other", "file"), "above\n")
	if err := os.Symlink("/in.txt", filepath.Join(root, "link")); err != nil {
		t.Fatal(err)
	}
	return r
}

type rootManifest struct {
	Complete   bool
	Incomplete []struct{ Reason, Detail string }
	Inputs     []loopEntry
}

// record runs a command under fstrace, itself run by before.
func (r *rootTrial) record(t *testing.T, before []string, command ...string) (m rootManifest, stdout string) {
	t.Helper()
	got := r.Bare(t, slices.Concat(before, []string{r.fstrace, "-q", "-f", "manifest", "-o", r.manifest, "--"}, command)...)
	if s := harness.StatusName(got.Status); s != "0" {
		t.Fatalf("%q: ended with %s\n%s", command, s, got.Stderr)
	}
	data, err := os.ReadFile(r.manifest)
	if err == nil {
		err = json.Unmarshal(data, &m)
	}
	if err != nil {
		t.Fatal(err)
	}
	return m, got.Stdout
}

func (r *rootTrial) check(t *testing.T, want, says string) {
	t.Helper()
	got := r.Bare(t, r.fstrace, "check", r.manifest)
	if s := harness.StatusName(got.Status); s != want || !strings.Contains(got.Stdout+got.Stderr, says) {
		t.Errorf("check: status %s, want %s and %q\n%s%s", s, want, says, got.Stdout, got.Stderr)
	}
}

// In a chroot the inputs have the names that they have outside.
func TestManifestChroot(t *testing.T) {
	r := newRootTrial(t)
	root := filepath.Join(r.Dir, "root")
	m, out := r.record(t, nil, "chroot", root, "/busybox", "cat", "/link", "/mnt/../in.txt", "/../in.txt")
	if out != strings.Repeat("in the root\n", 3) {
		t.Fatalf("printed %q", out)
	}
	if !m.Complete {
		t.Fatalf("incomplete: %v", m.Incomplete)
	}
	for _, e := range m.Inputs {
		if e.Path == "/in.txt" || e.Path == "/link" || e.Path == "/busybox" {
			t.Errorf("input %s, which is below %s", e.Path, root)
		}
	}
	r.check(t, "0", "")
	harness.WriteFile(t, filepath.Join(root, "in.txt"), "edited\n")
	r.check(t, "1", "content changed: "+filepath.Join(root, "in.txt"))
	harness.WriteFile(t, filepath.Join(root, "in.txt"), "in the root\n")
	r.check(t, "0", "")
	if err := os.Remove(filepath.Join(root, "link")); err != nil {
		t.Fatal(err)
	}
	r.check(t, "1", "vanished: "+filepath.Join(root, "link"))
}

// In a mount namespace of its own the command sees files by names that lead elsewhere
// outside. The manifest has those by which the host knows them.
func TestManifestMountNamespace(t *testing.T) {
	unshare := []string{harness.NeedTool(t, "unshare"), "-m", "sh", "-c"}
	bwrap := []string{"bwrap", "--ro-bind", "/", "/", "--dev", "/dev", "--proc", "/proc", "--tmpfs", "/run"}
	for name, command := range map[string]func(dir string) []string{
		"bind": func(string) []string {
			return append(unshare, "mount --bind other root/mnt && cat root/mnt/file && ! cat root/mnt/gone 2>/dev/null")
		},
		"tmpfs": func(string) []string {
			return append(unshare, "mount -t tmpfs none root/mnt && echo x >root/mnt/x && cat root/mnt/x >/dev/null && cat other/file && ! cat other/gone 2>/dev/null")
		},
		"chroot": func(string) []string {
			return append(unshare, "mount --bind other root/mnt && exec chroot root /busybox sh -c 'cd mnt; busybox=/busybox; $busybox cat file; ! $busybox cat /mnt/gone'")
		},
		"bubblewrap": func(dir string) []string {
			return append(slices.Clone(bwrap), "--bind", dir+"/other", "/mnt", "sh", "-c", "cat /mnt/file; ! cat /mnt/gone 2>/dev/null")
		},
		"bare bubblewrap": func(dir string) []string {
			return []string{
				"bwrap", "--ro-bind", dir + "/root/busybox", "/busybox", "--bind", dir + "/other", "/o", "--symlink", "/o/file", "/link",
				"--chdir", "/o", "/busybox", "sh", "-c", "/busybox cat /link; ! /busybox cat gone",
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRootTrial(t)
			argv := command(r.Dir)
			argv[0] = harness.NeedTool(t, argv[0])
			m, out := r.record(t, nil, argv...)
			if out != "above\n" {
				t.Fatalf("printed %q", out)
			}
			if !m.Complete {
				t.Fatalf("incomplete: %v", m.Incomplete)
			}
			for path, state := range map[string]string{"other/file": "file", "other/gone": "absent"} {
				if !slices.ContainsFunc(m.Inputs, func(e loopEntry) bool { return e.Path == filepath.Join(r.Dir, path) && e.State == state }) {
					t.Errorf("%s is no input with state %s", path, state)
				}
			}
			r.check(t, "0", "")
			harness.WriteFile(t, filepath.Join(r.Dir, "other", "file"), "edited\n")
			r.check(t, "1", "content changed: "+filepath.Join(r.Dir, "other", "file"))
		})
	}
}

// What a process outside the session has mounted for itself leads nowhere on the host.
func TestManifestOutsideNamespace(t *testing.T) {
	r := newRootTrial(t)
	barrier := harness.NewFIFO(t, r.Dir, "barrier")
	outside := exec.Command(harness.NeedTool(t, "unshare"), "-m", "sh", "-c",
		`mount -t tmpfs none root/mnt && echo inside >root/mnt/file && echo ready && read line <barrier`)
	outside.Dir = r.Dir
	ready, err := outside.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := outside.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		outside.Process.Kill()
		outside.Wait()
	}()
	if line, err := bufio.NewReader(ready).ReadString('\n'); line != "ready\n" {
		t.Fatalf("%q, %v", line, err)
	}
	m, out := r.record(t, nil, "cat", fmt.Sprintf("/proc/%d/root%s/root/mnt/file", outside.Process.Pid, r.Dir))
	if out != "inside\n" {
		t.Errorf("printed %q", out)
	}
	if m.Complete {
		t.Errorf("complete: %v", m.Inputs)
	}
	r.check(t, "2", "incomplete: other_mount_namespace")
	m, out = r.record(t, nil, "cat", fmt.Sprintf("/proc/%d/root%s/other/file", outside.Process.Pid, r.Dir))
	if out != "above\n" || !m.Complete {
		t.Errorf("printed %q, incomplete: %v", out, m.Incomplete)
	}
	barrier.Release(t, func() bool { return false })
}

// A command that mounts where fstrace sees it, and unmounts again, leaves no trace of
// where its paths led.
func TestManifestMounts(t *testing.T) {
	r := newRootTrial(t)
	m, out := r.record(t, []string{harness.NeedTool(t, "unshare"), "-m"},
		"sh", "-c", "mount --bind other root/mnt && cat root/mnt/file && ! cat root/mnt/gone 2>/dev/null; umount root/mnt")
	if out != "above\n" {
		t.Fatalf("printed %q", out)
	}
	if m.Complete {
		t.Errorf("complete: %v", m.Inputs)
	}
	r.check(t, "2", "incomplete: ")
}

// Mounts that were there before are as good as directories.
func TestManifestMounted(t *testing.T) {
	r := newRootTrial(t)
	mount := []string{harness.NeedTool(t, "unshare"), "-m", "sh", "-c", `mount --bind other root/mnt && exec "$@"`, "sh"}
	m, out := r.record(t, mount, "cat", "root/mnt/file")
	if out != "above\n" {
		t.Fatalf("printed %q", out)
	}
	if !m.Complete {
		t.Fatalf("incomplete: %v", m.Incomplete)
	}
	inside := r.Bare(t, slices.Concat(mount, []string{r.fstrace, "check", r.manifest})...)
	if s := harness.StatusName(inside.Status); s != "0" {
		t.Errorf("check where it is mounted: status %s\n%s%s", s, inside.Stdout, inside.Stderr)
	}
	r.check(t, "1", "content changed: "+filepath.Join(r.Dir, "root", "mnt", "file"))
}
