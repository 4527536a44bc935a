package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/fstrace/fstrace/cache"
	"github.com/fstrace/fstrace/cmd/internal/commandline"
	"github.com/fstrace/fstrace/events/manifest"
	"golang.org/x/sys/unix"
)

// flags as given.
type flags struct {
	dir, root              string
	maps, env, allow       []string
	times                  manifest.Times
	stdin, ignoreFormer    bool
	allowOutside           bool
	keepFailures, touch    bool
	remote                 remoteFlags
	asJSON, verbose, quiet bool
}

// open opens the store.
func (f *flags) open() (*cache.Disk, error) {
	dir := f.dir
	if dir == "" {
		dir = os.Getenv("FSTRACE_CACHE_DIR")
	}
	if dir == "" {
		user, err := os.UserCacheDir()
		if err != nil {
			return nil, fmt.Errorf("%w; give a directory with --dir", err)
		}
		dir = filepath.Join(user, "fstrace", "results")
	}
	disk, err := cache.OpenDisk(dir)
	if err != nil {
		return nil, fmt.Errorf("%w; give another directory with --dir", err)
	}
	return disk, nil
}

// options checks the flags. dir is the working directory.
func (f *flags) options(dir string) (*cache.Options, error) {
	o := &cache.Options{
		Hashes: manifest.UserCache(), Times: f.times, IgnoreFormerOutputs: f.ignoreFormer, KeepFailures: f.keepFailures,
		Touch: f.touch, Inside: []string{dir}, External: []manifest.ExternalKind{manifest.ExternalRandom}, Warn: f.warn,
	}
	if f.root != "" {
		root, err := commandline.RealDirectory(f.root)
		if err != nil {
			return nil, fmt.Errorf("--root %s: %w", f.root, err)
		}
		o.Places = append(o.Places, manifest.Place{Name: "root", Dir: root})
		o.Inside = []string{root}
	}
	for _, pair := range f.maps {
		place, err := parseMap(pair)
		if err != nil {
			return nil, fmt.Errorf("--map %s: %w", pair, err)
		}
		if slices.ContainsFunc(o.Places, func(p manifest.Place) bool { return p.Name == place.Name }) {
			return nil, fmt.Errorf("--map %s: there are two directories of this name", pair)
		}
		o.Places = append(o.Places, place)
	}
	if f.allowOutside {
		o.Inside = nil
	}
	kinds := manifest.ExternalKinds()
	for _, word := range f.allow {
		if !slices.Contains(kinds, manifest.ExternalKind(word)) {
			return nil, fmt.Errorf("--allow %s: must be one of %v", word, kinds)
		}
		o.External = append(o.External, manifest.ExternalKind(word))
	}
	if err := f.remote.open(o); err != nil {
		return nil, err
	}
	return o, nil
}

// placeNames are names that cannot be mistaken for anything else in a path.
const placeNames = `^[A-Za-z][A-Za-z0-9-]*$`

func parseMap(pair string) (manifest.Place, error) {
	name, dir, ok := strings.Cut(pair, "=")
	if !ok || !regexp.MustCompile(placeNames).MatchString(name) {
		return manifest.Place{}, errors.New("must be NAME=DIR, with a name of letters, digits and dashes")
	}
	dir, err := commandline.RealDirectory(dir)
	return manifest.Place{Name: name, Dir: dir}, err
}

func (f *flags) warn(err error) {
	if !f.quiet {
		fmt.Fprintf(os.Stderr, "fstrace cache: %v\n", err)
	}
}

// task returns the task, and the file that is its standard input.
func (f *flags) task(argv []string) (*cache.Task, *os.File, error) {
	dir, err := unix.Getwd()
	if err != nil {
		return nil, nil, fmt.Errorf("the working directory: %w", err)
	}
	t := &cache.Task{Argv: argv, Dir: dir, Env: environment(os.Environ(), f.env), Stdout: os.Stdout, Stderr: os.Stderr}
	var in *os.File
	if f.stdin {
		if in, t.Stdin, err = readStdin(); err != nil {
			return nil, nil, fmt.Errorf("--stdin: %w", err)
		}
	}
	return t, in, nil
}
