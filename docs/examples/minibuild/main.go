// Command minibuild is a build tool in a page, to show what fstraced is for: nobody
// tells it what a step depends on.
//
//	minibuild [FILE]
//
// FILE ("Minibuild") has a step on each line: a name, a colon, and a command for the
// shell. Steps are run in that order, but one that has run before, whose command is the
// same, and whose inputs and outputs are as they were, is skipped. What its inputs are
// fstraced has seen when it ran; the manifest that tells of them is kept in .minibuild.
//
// The socket is $FSTRACED_SOCKET, or the user's own.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/fstrace/fstrace/ipc"
)

// environment is all that a step gets: what it could read of another environment
// would be an input that no manifest has.
var environment = []string{"PATH=/usr/local/bin:/usr/bin:/bin", "LC_ALL=C"}

func main() {
	file := "Minibuild"
	if len(os.Args) > 1 {
		file = os.Args[1]
	}
	if err := build(file); err != nil {
		fmt.Fprintf(os.Stderr, "minibuild: %v\n", err)
		os.Exit(1)
	}
}

func build(file string) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	client, err := ipc.Dial(os.Getenv("FSTRACED_SOCKET"))
	if err != nil {
		return err
	}
	if err := os.MkdirAll(".minibuild", 0o777); err != nil {
		return err
	}
	for line := range strings.Lines(string(text)) {
		name, command, ok := strings.Cut(strings.TrimSpace(line), ":")
		if !ok || strings.HasPrefix(line, "#") {
			continue
		}
		s := step{client, name, []string{"/bin/sh", "-c", strings.TrimSpace(command)}, filepath.Join(".minibuild", name+".json")}
		if err := s.bring(); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

type step struct {
	client   *ipc.Client
	name     string
	argv     []string
	manifest string // the file that it is in
}

// bring brings the step up to date.
func (s *step) bring() error {
	why, err := s.reason()
	if err != nil {
		return err
	}
	if why == "" {
		fmt.Printf("%s: up to date\n", s.name)
		return nil
	}
	fmt.Printf("%s: %s (%s)\n", s.name, s.argv[2], why)
	return s.run()
}

// reason says why the step has to run, "" if it need not.
func (s *step) reason() (string, error) {
	doc, err := os.ReadFile(s.manifest)
	if errors.Is(err, os.ErrNotExist) {
		return "it has not run yet", nil
	}
	if err != nil {
		return "", err
	}
	var m struct{ Command struct{ Argv []string } }
	if err := json.Unmarshal(doc, &m); err != nil || !slices.Equal(m.Command.Argv, s.argv) {
		return "its command is another", nil
	}
	answer, err := s.client.Check(context.Background(), ipc.CheckRequest{Manifest: doc})
	if err != nil {
		return "", err
	}
	switch answer.Status {
	case "valid":
		return "", nil
	case "stale":
		r := answer.Reasons[0]
		return fmt.Sprintf("%s: %s%s", r.Reason, r.Path, r.PathBase64), nil
	}
	return answer.Error, nil // incomplete, say: it could be out of date
}

// run runs the step, and keeps its manifest if it has done its work.
func (s *step) run() error {
	if err := os.Remove(s.manifest); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	cwd, err := os.Getwd()
	if err != nil {
		return err
	}
	// What it prints goes through a pipe: a file that our own output goes to, and others'
	// too, is none of its outputs.
	printed, out, err := os.Pipe()
	if err != nil {
		return err
	}
	defer printed.Close()
	ctx, events := context.Background(), false
	stream, err := s.client.Run(ctx, &ipc.RunRequest{
		Argv: s.argv, Env: environment, Cwd: cwd,
		Files:   map[int]*os.File{1: out, 2: out},
		Options: ipc.Options{Wait: "all", Manifest: true, Events: &events, Record: filepath.Join(cwd, s.manifest)},
	})
	out.Close()
	if err != nil {
		return err
	}
	defer stream.Close()
	if _, err := io.Copy(os.Stdout, printed); err != nil { // to the step's end
		return err
	}
	var end struct {
		Exit struct {
			Code   int
			Signal string
		}
	}
	for {
		update, err := stream.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
		if update.End != nil {
			if err := json.Unmarshal(update.End, &end); err != nil {
				return err
			}
		}
	}
	if end.Exit.Code != 0 || end.Exit.Signal != "" {
		return fmt.Errorf("ended with status %d%s", end.Exit.Code, end.Exit.Signal)
	}
	doc, err := s.client.Manifest(ctx, stream.Session())
	if err != nil {
		return err
	}
	return os.WriteFile(s.manifest, doc, 0o666)
}
