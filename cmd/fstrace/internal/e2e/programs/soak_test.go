package programs

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/fstrace/fstrace/testdata/harness"
)

// soaks are commands that go on making processes, or files, for $1 seconds.
var soaks = []service{
	{
		workload: workload{
			name: "pgbench", tools: []string{"initdb", "pg_ctl", "pgbench"}, dirs: postgresDirs,
			argv: script(postgresBegins + `pgbench -i -q >/dev/null 2>&1
				pgbench -C -c 2 -R 40 -T "$SECONDS_TO_GO" 2>&1 | grep -E '^number of transactions actually'
				` + postgresEnds),
		},
		heavy: "postgresql", asUser: harness.Nobody,
	},
	{
		workload: workload{
			name: "files", tools: []string{"python3"},
			fill: func(t testing.TB, b *bench) {
				harness.WriteFile(t, b.dir+"/files.py", `import os, time
end, i = time.time() + float(os.environ["SECONDS_TO_GO"]), 0
while time.time() < end:
    for j in range(100):
        name = "f%d.%d" % (i, j)
        open(name, "w").write("x")
        os.rename(name, name + ".new")
        os.mkdir(name)
        open(name + "/y", "w").close()
        os.unlink(name + "/y")
        os.rmdir(name)
        os.unlink(name + ".new")
    i += 1
    time.sleep(0.2)
print(i > 0)
`)
			},
			argv: func(b *bench) []string { return []string{b.tool("python3"), "files.py"} },
		},
		heavy: "python3", asUser: harness.Nobody,
	},
}

// TestSoak: a daemon that makes a manifest of a command that goes on and on has all the
// memory that it needs after a while. FSTRACE_SOAK=20m is how long each takes; a fifth of
// that, but at most five minutes, is for it to settle.
func TestSoak(t *testing.T) {
	if os.Getenv("FSTRACE_STRESS") == "" {
		t.Skip("heavy: make stress")
	}
	long := time.Minute
	if s := os.Getenv("FSTRACE_SOAK"); s != "" {
		var err error
		if long, err = time.ParseDuration(s); err != nil {
			t.Fatalf("FSTRACE_SOAK: %v", err)
		}
	}
	for i := range soaks {
		s := &soaks[i]
		t.Run(s.name, func(t *testing.T) {
			t.Parallel() // each of them sleeps most of the time
			s.need(t)
			harness.NeedRoot(t, "to be a daemon for others")
			s.env = []string{fmt.Sprint("SECONDS_TO_GO=", long.Seconds())}
			b := newBench(t, &s.workload, s.asUser)
			d := startServicesDaemon(t)
			samples := soak(t, d, s, b, long)
			settled := samples[len(samples)/5:]
			if most := 300 / 10; len(samples)/5 > most {
				settled = samples[most:]
			}
			// What the collector leaves until its next run makes single samples uneven:
			// averages of a third each are compared.
			third := len(settled) / 3
			before, after := average(settled[:third]), average(settled[len(settled)-third:])
			t.Logf("resident, KiB, each %v: %v", samplePeriod(long), samples)
			if limit := before + before/10 + 2<<10; after > limit {
				t.Errorf("the daemon and its workers had %d KiB, and have %d in the end", before, after)
			}
		})
	}
}

func samplePeriod(long time.Duration) time.Duration { return min(10*time.Second, long/30) }

// soak runs s in the daemon, and returns what memory the daemon and its workers had
// meanwhile.
func soak(t *testing.T, d *harness.Daemon, s *service, b *bench, long time.Duration) (samples []int) {
	t.Helper()
	b.restore(t)
	records := filepath.Join(b.base, "records")
	harness.Mkdir(t, records)
	b.mustRun(t, "chown", "65534:65534", records)
	file := filepath.Join(records, "manifest.json")
	argv := append([]string{"-q", d.Connect(), "-f", "manifest", "-o", file, "--"}, s.argv(b)...)
	cmd := exec.Command(harness.Fstrace(t), argv...)
	var output bytes.Buffer
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr, cmd.WaitDelay = b.dir, b.env, &output, &output, harness.Patience
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: b.user, Setpgid: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	over := time.After(long + hangs)
	tick := time.NewTicker(samplePeriod(long))
	defer tick.Stop()
	for {
		select {
		case err := <-ended:
			if err != nil {
				t.Fatalf("%v\n%s", err, &output)
			}
			t.Logf("printed %s", &output)
			if len(samples) < 15 {
				t.Fatalf("only %d samples", len(samples))
			}
			if info, err := os.Stat(file); err != nil || info.Size() > 16<<20 {
				t.Errorf("the manifest: %v, %v", info, err)
			}
			return samples
		case <-over:
			_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
			t.Fatalf("has not ended: %s", &output)
		case <-tick.C:
			samples = append(samples, d.Resident(t))
		}
	}
}

func average(list []int) int {
	sum := 0
	for _, n := range list {
		sum += n
	}
	return sum / max(1, len(list))
}
