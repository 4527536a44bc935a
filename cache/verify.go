package cache

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"time"

	"github.com/fstrace/fstrace/events"
)

// A Verification says whether a run does what a stored result says.
type Verification struct {
	// Found means that there was a result to compare with. If not, the result of the run
	// was kept, unless NotKept says why not.
	Found   bool
	NotKept error
	Exit    events.Exit
	// Differences has a line for each output that differs. The command is then not
	// deterministic, or depends on something that fstrace does not see.
	Differences []string
}

// Verify runs a task and compares what it does with the stored result. The command's
// output is written as it runs.
func (c *Cache) Verify(ctx context.Context, t *Task, run Runner) (*Verification, error) {
	k, err := c.key(t)
	if err != nil {
		return nil, err
	}
	old, err := c.lookup(ctx, k)
	if err == nil {
		var text []byte
		if text, err = c.read(ctx, old.effectsBlob); err == nil {
			err = old.parseEffects(&c.Options, text)
		}
	}
	if err != nil && !errors.Is(err, ErrNotFound) {
		return nil, err
	}
	v := &Verification{Found: err == nil}
	output, err := newCapture(filepath.Join(c.disk.dir, tempDir))
	if err != nil {
		return nil, err
	}
	defer output.close()
	start := time.Now()
	out, errs := output.writer(stdout, t.Stdout), output.writer(stderr, t.Stderr)
	if t.Merged {
		errs = out
	}
	m, err := run(ctx, out, errs)
	if err != nil {
		return nil, err
	}
	v.Exit = m.Exit
	x := &ran{m: m, output: output, start: start, duration: time.Since(start)}
	if !v.Found {
		v.NotKept = c.keep(ctx, k, x)
		return v, nil
	}
	v.Differences = c.compare(old.result, x)
	return v, nil
}

// compare returns how a run differs from a result.
func (c *Cache) compare(old *result, x *ran) (list []string) {
	add := func(format string, args ...any) { list = append(list, fmt.Sprintf(format, args...)) }
	if x.m.Exit != (events.Exit{Code: old.exit}) {
		add("exit: was exit status %d, is %s", old.exit, x.m.Exit)
	}
	for s, name := range map[stream]string{stdout: "standard output", stderr: "standard error"} {
		if now, was := x.output.blob(s).Digest, old.output[s]; now.Size != was.Size || was.Size > 0 && now != was {
			add("%s differs", name)
		}
	}
	states := make(map[string]string)
	for i := range x.m.Outputs {
		e := &x.m.Outputs[i]
		states[e.Path] = describe(e.State, e.SHA256, e.Target, e.Mode)
	}
	for _, path := range x.m.Removed {
		states[path] = "removed"
	}
	was := make(map[string]string)
	for _, f := range old.files {
		was[f.path] = describe(events.StateFile, f.digest.Hash, "", f.mode)
	}
	for _, l := range old.links {
		was[l.path] = describe(events.StateSymlink, "", l.target, 0)
	}
	for _, d := range old.Dirs {
		was[d.Path] = describe(events.StateDir, "", "", d.Mode)
	}
	for _, path := range old.Removed {
		was[path] = "removed"
	}
	for path, state := range was {
		switch now, ok := states[path]; {
		case !ok:
			add("%s: was %s, is no output", path, state)
		case now != state:
			add("%s: was %s, is %s", path, state, now)
		}
		delete(states, path)
	}
	for _, a := range old.Changed {
		delete(states, a.Path)
	}
	for path, state := range states {
		add("%s: was no output, is %s", path, state)
	}
	slices.Sort(list)
	return list
}

// describe returns what is at a path, in a few words.
func describe(s events.State, sum, target string, mode uint32) string {
	switch s {
	case events.StateFile:
		return fmt.Sprintf("a file %.12s with mode %04o", sum, mode)
	case events.StateDir:
		return fmt.Sprintf("a directory with mode %04o", mode)
	}
	return fmt.Sprintf("a %s to %q", s, target)
}
