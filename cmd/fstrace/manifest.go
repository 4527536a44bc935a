package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/fstrace/fstrace/cmd/internal/commandline"
	"github.com/fstrace/fstrace/events/manifest"
)

// newManifest makes the recorder of --format manifest.
func newManifest(f *flags, out *output) (*manifest.Recorder, error) {
	o := manifest.Options{Only: f.only, Ignore: f.ignore, Compact: f.compact, EnvironmentValues: f.envValues}
	if f.root != "" {
		var err error
		if o.Root, err = commandline.RealDirectory(f.root); err != nil {
			return nil, fmt.Errorf("--root %s: %w", f.root, err)
		}
	}
	if out != nil {
		o.Cache = manifest.UserCache()
		o.Record = recordPath(f.output)
	}
	return manifest.NewRecorder(out, o)
}

// recordPath is where a record called name will be, "" if it has no place of its
// own. A symbolic link is written through, so the name is that of its target.
func recordPath(name string) string {
	if name == "" || name == "-" {
		return ""
	}
	path, err := filepath.Abs(name)
	if err != nil {
		return ""
	}
	if real, err := filepath.EvalSymlinks(path); err == nil {
		return real
	}
	dir, err := filepath.EvalSymlinks(filepath.Dir(path))
	if err != nil {
		return ""
	}
	return filepath.Join(dir, filepath.Base(path))
}

// readManifest has the manifest in the file called name, "-" for standard input, read by
// read, such as one of package manifest's decoders.
func readManifest[T any](name string, read func(io.Reader) (T, error)) (result T, err error) {
	in := os.Stdin
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return result, fmt.Errorf("open manifest %s: %w", name, commandline.Cause(err))
		}
		defer f.Close()
		in = f
	}
	if result, err = read(in); err != nil {
		return result, fmt.Errorf("%s: %w", name, err)
	}
	return result, nil
}
