package main

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/fstrace/fstrace/testdata/harness"
)

// TestStorm: 32 processes use one store at once, and some are killed. What the others
// leave is always right, and so is what they leave when they run again.
func TestStorm(t *testing.T) {
	p := newProject(t)
	rounds := harness.StormRounds(t, 2)
	for round := range rounds {
		var all sync.WaitGroup
		for i := range 32 {
			all.Go(func() { p.storm(round, i) })
		}
		all.Wait()
	}
	left, err := filepath.Glob(filepath.Join(filepath.Dir(p.dir), "storm*", ".fstrace*"))
	if err != nil || len(left) > rounds {
		t.Errorf("temporary files are left: %v, %v", left, err)
	}
}

// storm runs a command in a directory of its own, kills it at some moment, and runs it
// again. Every four directories have the same content and command.
func (p *project) storm(round, i int) {
	rnd := rand.New(rand.NewPCG(uint64(round), uint64(i)))
	dir := filepath.Join(filepath.Dir(p.dir), fmt.Sprint("storm", i))
	input := strings.Repeat(fmt.Sprintln("input", i/4, round%2), 1000)
	const script = "for n in 1 2 3 4 5 6 7 8; do cp in out$n; done; mkdir -p d; cat in in >d/twice; echo done"
	if err := os.MkdirAll(dir, 0o755); err != nil {
		p.t.Error(err)
		return
	}
	if err := os.WriteFile(filepath.Join(dir, "in"), []byte(input), 0o644); err != nil {
		p.t.Error(err)
		return
	}
	argv := []string{"run", "-q", "--root", dir, "--times", "ignore", "--ignore-former-outputs", "--dir", p.store, "--", "sh", "-c", script}
	if rnd.IntN(2) == 0 {
		// It is killed at any moment.
		ctx, cancel := context.WithTimeout(context.Background(), time.Duration(rnd.IntN(60))*time.Millisecond)
		cmd := exec.CommandContext(ctx, p.exe, argv...)
		cmd.Dir, cmd.Env = dir, append(os.Environ(), p.env...)
		_ = cmd.Run()
		cancel()
		for n := 1; n <= 8; n++ {
			// A command that is killed may leave half a file. A restoration does not, but
			// which of them it was is not known here.
			_, err := os.ReadFile(filepath.Join(dir, fmt.Sprint("out", n)))
			if err != nil && !os.IsNotExist(err) {
				p.t.Error(err)
			}
		}
	}
	cmd := exec.Command(p.exe, argv...)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), p.env...)
	out, err := cmd.CombinedOutput()
	if string(out) != "done\n" || err != nil {
		p.t.Errorf("%d: %v, %q", i, err, out)
	}
	for n := 1; n <= 8; n++ {
		b, err := os.ReadFile(filepath.Join(dir, fmt.Sprint("out", n)))
		if err != nil || string(b) != input {
			p.t.Errorf("%d: out%d has %d bytes, %v", i, n, len(b), err)
		}
	}
}

// TestKilledRestoration: each file is the old one or the new one, at whatever moment a
// restoration is killed, and the next one makes all of them new.
func TestKilledRestoration(t *testing.T) {
	p := newProject(t)
	const files = 40
	content := map[string]string{}
	for _, name := range []string{"old", "new"} {
		content[name] = strings.Repeat(name+"\n", 20000)
		p.write(name, content[name])
	}
	script := fmt.Sprintf("for n in $(seq %d); do cat new >t && mv t f$n; done", files)
	p.flags = []string{"--ignore-former-outputs"}
	command := []string{"sh", "-c", script}
	p.runs(command...)
	argv := append([]string{"run", "-q", "--dir", p.store, "--ignore-former-outputs", "--"}, command...)
	mixed := 0
	for round := range harness.StormRounds(t, 6) {
		for n := 1; n <= files; n++ {
			p.write(fmt.Sprint("f", n), content["old"])
		}
		cmd := exec.Command(p.exe, argv...)
		cmd.Dir, cmd.Env = p.dir, append(os.Environ(), p.env...)
		cmd.Stdout, cmd.Stderr = &bytes.Buffer{}, &bytes.Buffer{} // two pipes, as before
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		// From the first file that is new on, at some moment.
		deadline := time.Now().Add(harness.Patience)
		for p.read("f1") == content["old"] && time.Now().Before(deadline) {
		}
		for range round * 200 {
			_ = syscall.Getppid()
		}
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		olds := 0
		for n := 1; n <= files; n++ {
			switch p.read(fmt.Sprint("f", n)) {
			case content["old"]:
				olds++
			case content["new"]:
			default:
				t.Fatalf("round %d: f%d is neither old nor new", round, n)
			}
		}
		if 0 < olds && olds < files {
			mixed++
		}
		p.hits(command...)
		for n := 1; n <= files; n++ {
			if p.read(fmt.Sprint("f", n)) != content["new"] {
				t.Fatalf("round %d: f%d is not new after the next restoration", round, n)
			}
		}
	}
	if mixed == 0 {
		t.Error("no restoration was killed between two files")
	}
}
