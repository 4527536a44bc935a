package cache_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"path/filepath"

	"github.com/fstrace/fstrace/cache"
	"github.com/fstrace/fstrace/events/manifest"
	"github.com/fstrace/fstrace/tracer"
)

// A command that runs once: the second time its output is restored.
func ExampleCache_Run() {
	base, err := os.MkdirTemp("", "example")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(base)
	dir := filepath.Join(base, "src")
	if err := os.Mkdir(dir, 0o777); err != nil {
		log.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "source"), []byte("text\n"), 0o666); err != nil {
		log.Fatal(err)
	}
	disk, err := cache.OpenDisk(filepath.Join(base, "store"))
	if err != nil {
		log.Fatal(err)
	}
	c := cache.New(disk, cache.Options{})
	task := &cache.Task{
		Argv: []string{"cp", "source", "target"}, Dir: dir, Env: []string{"PATH=/usr/bin:/bin"},
		Stdout: os.Stdout, Stderr: os.Stderr,
	}
	run := func(ctx context.Context, stdout, stderr io.Writer) (*manifest.Manifest, error) {
		cmd := tracer.Command(task.Argv[0], task.Argv[1:]...)
		cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = task.Dir, task.Env, stdout, stderr
		m, err := manifest.Record(ctx, cmd, manifest.Options{})
		var failed *tracer.ExitError
		if errors.As(err, &failed) {
			err = nil // m has the exit status
		}
		return m, err
	}
	for range 2 {
		out, err := c.Run(context.Background(), task, run)
		if err != nil {
			log.Fatal(err)
		}
		content, err := os.ReadFile(filepath.Join(dir, "target"))
		fmt.Printf("hit %v, kept %v, target %q, %v\n", out.Hit, out.NotKept == nil, content, err)
		if err := os.Remove(filepath.Join(dir, "target")); err != nil {
			log.Fatal(err)
		}
	}
	// Output:
	// hit false, kept true, target "text\n", <nil>
	// hit true, kept true, target "text\n", <nil>
}
