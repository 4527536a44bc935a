package programs

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/fstrace/fstrace/testdata/harness"
	"github.com/fstrace/fstrace/testdata/oracle"
)

// A service is a workload with servers in it: they run beside what uses them, and what
// they do for it is in the record, too.
type service struct {
	workload
	heavy   string              // the Debian packages it takes, where that is only for make stress
	asUser  *syscall.Credential // who runs it; nil for the test's own user
	asRoot  bool                // root does
	fuse    bool                // it mounts a file system
	judged  bool                // strace sees the same accesses
	reasons []string            // why the record cannot be complete
	must    []oracle.Access     // what the record has; paths without a slash at the beginning are in the directory
}

// await is a shell function that waits for a condition, for half a minute. It looks for
// the program that sleeps even if it does not have to wait: the accesses are the same
// each time.
const await = `await() { n=0; until sleep 0.01; "$@"; do n=$((n+1)); [ $n -lt 3000 ] || { echo "waited in vain: $*"; exit 99; }; done; }
`

func script(lines string) func(*bench) []string { return sh(await + lines) }

var services = []service{
	{
		workload: workload{
			name: "bindfs", tools: []string{"bindfs", "mountpoint"}, flags: []string{"-q"},
			fill: func(t testing.TB, b *bench) {
				harness.WriteFile(t, b.dir+"/a/x", "content\n")
				harness.Mkdir(t, b.dir+"/b")
			},
			argv: script(`bindfs -f a b & await mountpoint -q b
				cat b/x; echo new >b/y; mv b/y b/z; ls b; rm b/z; cat b/gone
				umount b; wait $!; echo $?`),
		},
		fuse: true, judged: true,
		must: []oracle.Access{
			{Op: "read", Path: "a/x"}, {Op: "read", Path: "b/x"}, {Op: "write", Path: "a/y"}, {Op: "rename", Path: "a/y", To: "a/z"}, {Op: "delete", Path: "a/z"},
		},
	},
	{
		workload: workload{
			name: "fuse_overlayfs", tools: []string{"fuse-overlayfs", "mountpoint"},
			fill: func(t testing.TB, b *bench) {
				harness.WriteFile(t, b.dir+"/lower/l", "low\n")
				harness.Mkdir(t, b.dir+"/upper", b.dir+"/work", b.dir+"/merged")
			},
			argv: script(`fuse-overlayfs -f -o lowerdir=lower,upperdir=upper,workdir=work merged & await mountpoint -q merged
				cat merged/l; echo more >>merged/l; echo n >merged/n; ls merged; rm merged/l; cat upper/n
				umount merged; wait $!; echo $?`),
		},
		// It names files by /proc/self/fd/N, of which nobody knows afterwards what they
		// were.
		fuse: true, judged: false,
		must: []oracle.Access{{Op: "read", Path: "lower/l"}, {Op: "stat", Path: "upper/l"}, {Op: "read", Path: "merged/l"}, {Op: "write", Path: "merged/n"}, {Op: "write", Path: "upper/n"}},
	},
	{
		workload: workload{
			name: "squashfuse", tools: []string{"squashfuse", "mksquashfs", "mountpoint"},
			fill: func(t testing.TB, b *bench) {
				harness.WriteFile(t, b.dir+"/a/x", "content\n")
				harness.Mkdir(t, b.dir+"/mnt")
				b.mustRun(t, "mksquashfs", "a", "image", "-quiet", "-no-progress")
			},
			argv: script(`squashfuse -f image mnt & await mountpoint -q mnt
				cat mnt/x; ls mnt; cat mnt/gone
				umount mnt; wait $!; echo $?`),
		},
		fuse: true, judged: true,
		must: []oracle.Access{{Op: "read", Path: "image"}, {Op: "read", Path: "mnt/x"}, {Op: "stat", Path: "mnt"}},
	},
	{
		workload: workload{
			name: "bwrap", tools: []string{"bwrap"},
			fill: func(t testing.TB, b *bench) { harness.WriteFile(t, b.dir+"/in", "content\n") },
			argv: func(b *bench) []string {
				return []string{
					b.tool("bwrap"), "--ro-bind", "/", "/", "--dev", "/dev", "--proc", "/proc", "--tmpfs", "/run", "--bind", b.dir, "/mnt",
					"--unshare-all", "--die-with-parent", "/bin/sh", "-c", "cd /mnt; cat in; echo made >out; cat gone; echo $$; exit 7",
				}
			},
		},
		asUser: harness.Nobody,
		must:   []oracle.Access{{Op: "read", Path: "in"}, {Op: "write", Path: "out"}, {Op: "read", Path: "gone"}},
	},
	{
		workload: workload{
			name: "sqlite", tools: []string{"sqlite3"},
			argv: script(`for mode in delete wal; do
				sqlite3 db "pragma journal_mode=$mode; create table t_$mode(a,b); begin; insert into t_$mode values(1,'x'),(2,'y'); commit; select count(*) from t_$mode; vacuum"
				done; sqlite3 db .dump; sqlite3 -readonly gone .dump; sqlite3 db 'pragma integrity_check'`),
		},
		asUser: harness.Nobody, judged: true,
		must: []oracle.Access{{Op: "write", Path: "db"}, {Op: "write", Path: "db-journal"}, {Op: "delete", Path: "db-journal"}, {Op: "write", Path: "db-wal"}},
	},
	{
		workload: workload{
			name: "nginx", tools: []string{"nginx", "curl"},
			fill: func(t testing.TB, b *bench) {
				harness.WriteFile(t, b.dir+"/html/index.html", "hello\n")
				harness.WriteFile(t, b.dir+"/conf", `daemon off; worker_processes 2; pid nginx.pid;
events { worker_connections 64; }
http { access_log access.log; client_body_temp_path t; proxy_temp_path t; fastcgi_temp_path t; uwsgi_temp_path t; scgi_temp_path t;
	server { listen unix:`+b.dir+`/socket; root html; } }
`)
			},
			argv: script(`nginx -p . -c conf -e error.log & await test -S socket
				for i in 1 2 3 4 5 6 7 8; do curl -s --unix-socket socket http://x/; done
				curl -s -o /dev/null -w '%{http_code}\n' --unix-socket socket http://x/gone
				kill -QUIT $!; wait $!; echo $?; wc -l <access.log`),
			differs: []string{"error.log", "access.log"}, // they hold the time
		},
		heavy: "nginx-light", asUser: harness.Nobody, judged: true,
		must: []oracle.Access{{Op: "read", Path: "html/index.html"}, {Op: "read", Path: "html/gone"}, {Op: "write", Path: "access.log"}, {Op: "create", Path: "socket"}},
	},
	{
		workload: workload{
			name: "redis", tools: []string{"redis-server", "redis-cli", "redis-benchmark"},
			argv: script(`redis() { redis-cli -s socket "$@"; }
				redis-server --port 0 --unixsocket "$PWD/socket" --dir "$PWD" --save '' --logfile log & await test -S socket
				redis set a 1; redis incr a; redis bgsave; saved() { redis info persistence | grep -q rdb_bgsave_in_progress:0; }; await saved
				redis-benchmark -s "$PWD/socket" -q -n 2000 -t set,get >/dev/null; redis get a
				redis shutdown nosave; wait $!; echo $?; ls`),
			differs: []string{"log", "dump.rdb"}, // they hold the time
		},
		heavy: "redis-server", asUser: harness.Nobody,
		must: []oracle.Access{{Op: "create", Path: "socket"}, {Op: "rename", Path: "temp-PID.rdb", To: "dump.rdb"}, {Op: "write", Path: "log"}},
	},
	{
		workload: workload{
			name: "postgres", tools: []string{"psql", "pgbench", "initdb"}, dirs: postgresDirs,
			argv: script(postgresBegins + `
				pgbench -i -q -s 2 >/dev/null 2>&1; psql -Atc 'select count(*) from pgbench_accounts'
				pgbench -C -c 4 -j 2 -t 40 2>&1 | grep -E 'actually|failed'; pgbench -c 4 -t 200 2>&1 | grep -E 'actually|failed'
				psql -Atc 'select count(*) from pgbench_history'; psql -Atc 'select 1/0'; psql -Atc "copy (select bid from pgbench_branches order by bid) to '$PWD/out'"; wc -l <out
				` + postgresEnds),
			differs: []string{"data", "data/**", "log"},
		},
		heavy: "postgresql", asUser: harness.Nobody,
		must: []oracle.Access{
			{Op: "create", Path: "data"},
			{Op: "write", Path: "data/postmaster.pid"},
			{Op: "delete", Path: "data/postmaster.pid"},
			{Op: "create", Path: ".s.PGSQL.5432"},
			{Op: "write", Path: "out"},
			{Op: "read", Path: "data/global/pg_filenode.map"},
		},
	},
	{
		workload: workload{
			name: "podman", tools: []string{"podman", "busybox", "unshare", "pgrep"}, flags: []string{"-q", "--wait", "all"},
			fill: func(t testing.TB, b *bench) {
				harness.Mkdir(t, b.dir+"/root/proc", b.dir+"/root/sys", b.dir+"/root/dev", b.dir+"/root/etc", b.dir+"/root/run", b.dir+"/root/tmp", b.dir+"/root/bin")
				b.mustRun(t, "cp", b.tool("busybox"), b.dir+"/root/bin/busybox")
				harness.WriteFile(t, b.dir+"/root/hello", "inside\n")
			},
			// crun wants control groups of one version, and podman's helper outlives it.
			argv: func(b *bench) []string {
				return []string{b.tool("unshare"), "-m", "/bin/sh", "-c", await + `mount -t cgroup2 none /sys/fs/cgroup || exit 98
					podman --root "$PWD/storage" --runroot "$PWD/run" --tmpdir "$PWD/libpod" --storage-driver vfs --cgroup-manager cgroupfs --events-backend none \
						run --rm --network none --cgroups disabled --log-driver none --ulimit nofile=1024:1024 --ulimit nproc=1024:1024 \
						--rootfs "$PWD/root" /bin/busybox sh -c 'busybox cat /hello; busybox cat /gone; echo made >/made; exit 5'; echo $?
					over() { ! pgrep -f "^[^ ]*(conmon|podman) .*$PWD" >/dev/null; }; await over; cat root/made`}
			},
			differs: []string{"storage", "storage/**", "run", "run/**", "libpod", "libpod/**", "home/**", "root/**"},
		},
		heavy: "podman", asRoot: true, reasons: []string{"other_mount_namespace"}, // crun's copy of itself, which it has unmounted
		must: []oracle.Access{
			{Op: "read", Path: "root/hello"}, {Op: "read", Path: "root/gone"}, {Op: "write", Path: "root/made"}, {Op: "exec", Path: "root/bin/busybox"},
		},
	},
	{
		workload: workload{
			name: "java", tools: []string{"java", "javac"},
			fill: func(t testing.TB, b *bench) {
				copyProject("java")(t, b)
				for i := range 200 {
					harness.WriteFile(t, filepath.Join(b.dir, "in", "f"+strings.Repeat("x", i)), "0123456789")
				}
				b.mustRun(t, "javac", "Threads.java")
			},
			argv: func(b *bench) []string {
				return []string{b.tool("java"), "-Xshare:auto", "-XX:-UsePerfData", "Threads", "200"}
			},
		},
		heavy: "openjdk-17-jdk-headless", asUser: harness.Nobody, judged: true,
		must: []oracle.Access{{Op: "read", Path: "in/f"}, {Op: "read", Path: "in/f" + strings.Repeat("x", 199)}, {Op: "write", Path: "out/t199"}, {Op: "rename", Path: "out/t199", To: "out/199"}, {Op: "list", Path: "in"}},
	},
	{
		workload: workload{
			name: "chromium", tools: []string{"chromium"},
			fill: func(t testing.TB, b *bench) {
				harness.WriteFile(t, b.dir+"/page.html", `<html><body><script src="page.js"></script><p>text</p></body></html>`)
				harness.WriteFile(t, b.dir+"/page.js", "document.title = 6 * 7; document.body.append('by script')\n")
			},
			argv: func(b *bench) []string {
				return []string{
					b.tool("chromium"), "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--disable-background-networking",
					"--user-data-dir=" + b.dir + "/profile", "--virtual-time-budget=2000", "--dump-dom", "file://" + b.dir + "/page.html",
				}
			},
			flags:   []string{"--wait", "all"},
			differs: []string{"profile", "profile/**", "home/**", "home", "tmp/**", "tmp"},
			normal:  chromiumOutput,
		},
		heavy: "chromium", asUser: harness.Nobody,
		must: []oracle.Access{{Op: "read", Path: "page.html"}, {Op: "read", Path: "page.js"}},
	},
}

const (
	postgresDirs   = "/usr/lib/postgresql/*/bin"
	postgresBegins = `export PGHOST="$PWD" PGUSER=pg PGDATABASE=postgres
		initdb -D data -U pg -A trust --no-sync --no-instructions >/dev/null || exit 98
		pg_ctl -D data -o "-k '$PWD' -c listen_addresses= -c fsync=off" -w -l log start >/dev/null || { cat log; exit 97; }
`
	postgresEnds = `pg_ctl -D data -m fast -w stop >/dev/null; echo $?
`
)

// chromiumOutput leaves out what chromium logs: what it lacks in a container, and when.
func chromiumOutput(s string) string { return chromiumLog.ReplaceAllString(s, "") }

var chromiumLog = regexp.MustCompile(`(?m)^\[[0-9:/.]+:[A-Z]+:.*\n|^.*(dconf|dbus|Fontconfig).*\n`)

// Servers do for their clients what they do outside, and the record has it.
func TestProgramServices(t *testing.T) {
	d := startServicesDaemon(t)
	for i := range services {
		s := &services[i]
		t.Run(s.name, func(t *testing.T) {
			s.need(t)
			s.compare(t, d)
		})
	}
}

// compare runs a service bare, in a trace, and in one by a daemon.
func (s *service) compare(t *testing.T, d *harness.Daemon) {
	user := s.asUser
	if os.Getuid() != 0 {
		user = nil
	}
	b := newBench(t, &s.workload, user)
	argv := s.argv(b)
	bare := b.run(t, &s.workload, argv...)
	records := filepath.Join(b.base, "records")
	harness.Mkdir(t, records)
	if user != nil {
		b.mustRun(t, "chown", "65534:65534", records)
	}
	for _, how := range []struct {
		name  string
		flags []string
	}{{"embedded", nil}, {"connected", []string{d.Connect()}}} {
		t.Run(how.name, func(t *testing.T) {
			file := filepath.Join(records, how.name)
			flags := append(append([]string{harness.Fstrace(t), "-f", "jsonl", "-o", file}, how.flags...), s.flags...)
			traced := b.run(t, &s.workload, append(append(flags, "--"), argv...)...)
			if !compareOutcomes(t, &s.workload, bare, traced) {
				return
			}
			r := harness.ReadRecord(t, file)
			s.checkRecord(t, b, r, argv, traced.Status)
			if s.judged && how.name == "embedded" {
				compareWithStrace(t, &s.workload, b, argv, r)
			}
		})
	}
}

// startServicesDaemon starts a daemon for the tests' user and, if that is root, for
// nobody.
func startServicesDaemon(t *testing.T) *harness.Daemon {
	var flags []string
	if os.Getuid() == 0 {
		flags = []string{"--allow-uid", "65534", "--spool-dir", os.TempDir()} // where all may write
	}
	return harness.StartDaemonWith(t, harness.Fstraced, flags)
}

// need skips the test where a service cannot be run.
func (s *service) need(t *testing.T) {
	t.Helper()
	if s.fuse {
		harness.NeedFUSE(t)
	}
	if s.asRoot {
		harness.NeedRoot(t, "to run it")
	}
	if s.heavy == "" {
		return
	}
	if os.Getenv("FSTRACE_STRESS") == "" {
		t.Skip("heavy: make stress")
	}
	dirs, _ := filepath.Glob(s.dirs)
	here := bench{path: strings.Join(append(dirs, harness.StandardPath, os.Getenv("PATH")), ":")}
	for _, tool := range s.tools {
		if !filepath.IsAbs(here.tool(tool)) {
			t.Skipf("needs %s (Debian: %s)", tool, s.heavy)
		}
	}
}

// checkRecord fails the test unless r is a whole record, and has what it must have.
func (s *service) checkRecord(t *testing.T, b *bench, r *harness.Record, argv []string, status syscall.WaitStatus) {
	t.Helper()
	if len(s.reasons) > 0 {
		for _, reason := range r.Reasons() {
			if !slices.Contains(s.reasons, reason) {
				t.Errorf("incomplete: %v", r.Trailer["incomplete"])
			}
		}
		harness.CheckCounts(t, r)
	} else {
		harness.CheckRecord(t, r, argv, status)
	}
	has := oracle.Comparable(recordAccesses(r))
	at := func(path string) string {
		if path == "" || strings.HasPrefix(path, "/") {
			return path
		}
		return filepath.Join(b.dir, path)
	}
	for _, a := range s.must {
		a.Path, a.To = at(a.Path), at(a.To)
		if _, ok := has[a]; !ok {
			t.Errorf("the record does not have %v", a)
		}
	}
}
