package record

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fstrace/fstrace/testdata/harness"
)

// TestSandboxes: fstrace runs in what others put around it: namespaces, containers, other
// views of /proc, limits. It makes a complete record there, or refuses and says why.
func TestSandboxes(t *testing.T) {
	harness.NeedRoot(t, "to mount, and to be another user")
	t.Setenv("TMPDIR", "/var/tmp") // so that /tmp can be hidden
	const nobody = `setpriv --reuid=65534 --regid=65534 --clear-groups `
	mounted := func(mount, user string) string {
		return `unshare -m sh -c '` + mount + ` && exec ` + user + `"$@"' sh "$@"`
	}
	// podman's default seccomp profile is Docker's.
	dir := harness.OpenDir(t)
	harness.Mkdir(t, dir+"/root/usr", dir+"/root/proc", dir+"/root/sys", dir+"/root/dev", dir+"/root/etc", dir+"/root/run", dir+"/root/tmp", dir+"/root/var/tmp")
	for _, name := range []string{"bin", "lib", "lib64"} {
		harness.Symlink(t, "usr/"+name, dir+"/root/"+name)
	}
	podman := mounted(`mount -t cgroup2 none /sys/fs/cgroup`, `podman --root `+dir+`/storage --runroot `+dir+`/run --tmpdir `+dir+`/libpod `+
		`--storage-driver vfs --cgroup-manager cgroupfs --events-backend none run --rm --network none --cgroups disabled --log-driver none `+
		`--ulimit nofile=1024:1024 --ulimit nproc=1024:1024 -v /usr:/usr:ro -v /var/tmp:/var/tmp --rootfs `+dir+`/root `)
	sandboxes := []struct{ name, around, tool, want string }{
		{"nobody", nobody + `"$@"`, "setpriv", "complete"},
		{"user namespace", nobody + `unshare -r "$@"`, "unshare", "complete"},
		{"user and mount namespace", nobody + `unshare -rm "$@"`, "unshare", "complete"},
		{"pid namespace", `unshare -p -f --mount-proc "$@"`, "unshare", "complete"},
		{"pid namespace, /proc of another", `unshare -p -f "$@"`, "unshare", "refused"},
		{"bwrap", nobody + `bwrap --dev-bind / / --proc /proc --unshare-all "$@"`, "bwrap", "complete"},
		{"bwrap, /proc of another", nobody + `bwrap --dev-bind / / --unshare-pid "$@"`, "bwrap", "refused"},
		{"bwrap, no /proc", nobody + `bwrap --dev-bind / / --tmpfs /proc "$@"`, "bwrap", "refused"},
		{"bwrap, no /tmp, no HOME", nobody + `bwrap --ro-bind /usr /usr --symlink usr/lib /lib --symlink usr/lib64 /lib64 --symlink usr/bin /bin ` +
			`--bind /var/tmp /var/tmp --dev /dev --proc /proc --clearenv "$@"`, "bwrap", "complete"},
		{"podman", podman, "podman", "complete"},
		{"no new privileges", `setpriv --no-new-privs "$@"`, "setpriv", "complete"},
		{"no capabilities", `setpriv --bounding-set=-all --inh-caps=-all --no-new-privs "$@"`, "setpriv", "complete"},
		{"capabilities dropped", `capsh --drop=all -- -c 'exec "$@"' sh "$@"`, "capsh", "complete"},
		{"hidepid=2", mounted(`mount -t proc -o hidepid=2 proc /proc`, ``), "unshare", "complete"},
		{"hidepid=2, nobody", mounted(`mount -t proc -o hidepid=2 proc /proc`, nobody), "unshare", "complete"},
		{"subset=pid", mounted(`mount -t proc -o subset=pid proc /proc`, ``), "unshare", "complete"},
		{"subset=pid, nobody", mounted(`mount -t proc -o subset=pid proc /proc`, nobody), "unshare", "complete"},
		{"read-only /tmp", mounted(`mount -t tmpfs -o ro tmpfs /tmp`, ``), "unshare", "complete"},
		{"absent TMPDIR and HOME", `env TMPDIR=/none HOME=/none "$@"`, "env", "complete"},
		{"no environment", `env -i "$@"`, "env", "complete"},
		{"RLIMIT_NOFILE 10", `prlimit --nofile=10:10 "$@"`, "prlimit", ""},
		{"RLIMIT_NOFILE 12", `prlimit --nofile=12:12 "$@"`, "prlimit", ""},
		{"RLIMIT_NOFILE 16", `prlimit --nofile=16:16 "$@"`, "prlimit", ""},
		{"RLIMIT_NOFILE 20", `prlimit --nofile=20:20 "$@"`, "prlimit", ""},
		{"RLIMIT_NOFILE 24", `prlimit --nofile=24:24 "$@"`, "prlimit", ""},
		{"RLIMIT_NOFILE 32", `prlimit --nofile=32:32 "$@"`, "prlimit", ""},
		{"RLIMIT_NOFILE 64", `prlimit --nofile=64:64 "$@"`, "prlimit", "complete"},
		{"RLIMIT_NPROC 1", nobody + `prlimit --nproc=1:1 "$@"`, "prlimit", ""},
		{"RLIMIT_NPROC 100", nobody + `prlimit --nproc=100:100 "$@"`, "prlimit", ""},
		{"RLIMIT_FSIZE 0", `prlimit --fsize=0:0 "$@"`, "prlimit", ""},
		{"RLIMIT_AS 300 MB", `prlimit --as=300000000:300000000 "$@"`, "prlimit", ""},
	}
	exe, cat := harness.Fstrace(t), harness.RealPath(t, "cat")
	in := filepath.Join(dir, "in")
	harness.WriteFile(t, in, "content\n")
	for _, sandbox := range sandboxes {
		t.Run(strings.ReplaceAll(sandbox.name, "/", ""), func(t *testing.T) {
			if _, err := exec.LookPath(sandbox.tool); err != nil && sandbox.tool == "podman" {
				t.Skip("podman is among the tools of make stress")
			}
			harness.NeedTool(t, sandbox.tool)
			around := []string{harness.NeedTool(t, "sh"), "-c", sandbox.around, "sh"}
			if status, stderr := deniedRun(t, append(around, cat, in)); status != 0 {
				t.Skipf("the kernel has no such sandbox: %s", stderr)
			}
			got := judge(t, around, exe, cat, in)
			if sandbox.want != "" && got != sandbox.want {
				t.Errorf("%s, want %s", got, sandbox.want)
			}
			t.Log(got)
		})
	}
}
