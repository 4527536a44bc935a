package cache

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"time"

	"github.com/fstrace/fstrace/events"
	"github.com/fstrace/fstrace/events/manifest"
)

// Options are the options of a Cache. The zero value is valid.
type Options struct {
	// Remote is a second store, such as a server. It is asked after the local one.
	// ReadOnly means that nothing is stored there.
	Remote   Store
	ReadOnly bool
	// Hashes has hashes of unchanged files; nil means that all files are hashed.
	Hashes *manifest.Cache
	// Places are directories that may be elsewhere when a result is found.
	Places manifest.Places
	// Times and IgnoreFormerOutputs say what has to be as it was
	// ([manifest.PathSetOptions]).
	Times               manifest.Times
	IgnoreFormerOutputs bool
	// Inside are the directories in which outputs may be: absolute, and without symbolic
	// links. Empty means anywhere.
	Inside []string
	// External lists the kinds of external sources that a command may use. The result is
	// kept although it may depend on what they said.
	External []manifest.ExternalKind
	// KeepFailures keeps results of commands that exit with another status than 0.
	KeepFailures bool
	// Touch sets the time of outputs that are already right when a result is found. make
	// needs it: it runs a rule again if the time of the target is older.
	Touch bool
	// Warn is called with errors of a store, which only cost time. Nil drops them.
	Warn func(error)
}

// A Cache finds, keeps and restores results of commands. Its methods may be called
// concurrently.
type Cache struct {
	Options
	disk   *Disk
	remote *guarded // nil if there is none
}

// New returns a cache that keeps results in disk.
func New(disk *Disk, o Options) *Cache {
	c := &Cache{Options: o, disk: disk}
	if o.Remote != nil {
		c.remote = &guarded{store: o.Remote, warn: c.warn}
	}
	return c
}

func (c *Cache) warn(err error) {
	if c.Warn != nil {
		c.Warn(err)
	}
}

// A Runner runs a task, with these writers as its standard output and standard error. It
// returns the manifest with the processes and accesses ([manifest.Options.Compact] not
// set). It returns an error if nothing was run or the record is cut off; that the command
// failed is no error.
type Runner func(ctx context.Context, stdout, stderr io.Writer) (*manifest.Manifest, error)

// An Outcome says what Run has done.
type Outcome struct {
	// Hit means that the result was in a store, and that the command did not run. Remote
	// means that it came from the remote one.
	Hit, Remote bool
	Exit        events.Exit
	// NotKept says why the result of a run was not kept: a [*Refusal], or an error of the
	// store. It is nil if it was kept.
	NotKept error
	// Duration is how long the command took when it ran.
	Duration time.Duration
}

// Run returns the result of a task: from a store, or else by running it.
//
// An error means that the command did not run, that its record is cut off, or that a
// result was restored in part ([*RestoreError]): then the command has not run, either.
func (c *Cache) Run(ctx context.Context, t *Task, run Runner) (*Outcome, error) {
	key, keyErr := c.key(t)
	if keyErr == nil {
		found, err := c.lookup(ctx, key)
		if err == nil {
			var out *Outcome
			if out, err = c.restore(ctx, t, found); err == nil {
				c.count(out)
				return out, nil
			}
		}
		var halfway *RestoreError
		if errors.As(err, &halfway) {
			return nil, err
		}
		if !errors.Is(err, ErrNotFound) {
			c.warn(fmt.Errorf("the command runs again: %w", err))
		}
	}
	out, err := c.runAndKeep(ctx, t, key, keyErr, run)
	if err == nil {
		c.count(out)
	}
	return out, err
}

func (c *Cache) runAndKeep(ctx context.Context, t *Task, key *taskKey, keyErr error, run Runner) (*Outcome, error) {
	output, err := newCapture(filepath.Join(c.disk.dir, tempDir))
	if err != nil {
		c.warn(err) // the command runs all the same
		m, err := run(ctx, t.Stdout, t.Stderr)
		if err != nil {
			return nil, err
		}
		return &Outcome{Exit: m.Exit, NotKept: refuse(RefusedStore, "%v", err)}, nil
	}
	defer output.close()
	start := time.Now()
	stdout, stderr := output.writer(stdout, t.Stdout), output.writer(stderr, t.Stderr)
	if t.Merged {
		stderr = stdout
	}
	m, err := run(ctx, stdout, stderr)
	if err != nil {
		return nil, err
	}
	r := &ran{m: m, output: output, start: start, duration: time.Since(start)}
	out := &Outcome{Exit: m.Exit, Duration: r.duration, NotKept: keyErr}
	if keyErr == nil {
		out.NotKept = c.keep(ctx, key, r)
	}
	return out, nil
}

// A ran is a command that has run.
type ran struct {
	m        *manifest.Manifest
	output   *capture
	start    time.Time
	duration time.Duration
}
