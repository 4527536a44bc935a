package cache

import (
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"

	repb "github.com/bazelbuild/remote-apis/build/bazel/remote/execution/v2"
	"github.com/fstrace/fstrace/events/manifest"
)

// keyVersion is a part of every key. It changes when results of an earlier version must
// not be found.
const keyVersion = "fstrace cache 1"

// A Task is a command, and everything by which its result is found that is no file.
type Task struct {
	Argv []string
	// Dir is the working directory: absolute, and without symbolic links.
	Dir string
	// Env is the whole environment of the command, as "key=value".
	Env []string
	// Stdin is the digest of what the command reads from a pipe that is its standard
	// input; zero if that is /dev/null.
	Stdin Digest
	// Terminal says what the standard output is to the command if it is a terminal: its
	// type and size, or any other text. Merged means that standard output and standard
	// error are one file.
	Terminal string
	Merged   bool
	// Stdout and Stderr are where the command's output goes, as it runs or from the
	// store.
	Stdout, Stderr io.Writer
}

// action returns the messages that name a task, and the directory that an action needs.
func (t *Task) action(o *Options, input Digest) (*repb.Action, *repb.Command, error) {
	command := &repb.Command{
		Arguments: t.Argv, WorkingDirectory: treePath(o.Places.Form(t.Dir)),
	}
	for _, pair := range t.Env {
		name, value, _ := strings.Cut(pair, "=")
		command.EnvironmentVariables = append(command.EnvironmentVariables,
			&repb.Command_EnvironmentVariable{Name: name, Value: o.Places.Form(value)})
	}
	slices.SortStableFunc(command.EnvironmentVariables, func(a, b *repb.Command_EnvironmentVariable) int {
		return strings.Compare(a.Name, b.Name)
	})
	b, err := encode(command)
	if err != nil {
		return nil, nil, refuse(RefusedKey, "%v", err)
	}
	return &repb.Action{
		CommandDigest: DigestOf(b).message(), InputRootDigest: input.message(), Salt: []byte(keyVersion),
		Platform: t.platform(o),
	}, command, nil
}

// platform is what else the result may depend on. The properties must be sorted.
func (t *Task) platform(o *Options) *repb.Platform {
	p := &repb.Platform{}
	add := func(name, value string) {
		p.Properties = append(p.Properties, &repb.Platform_Property{Name: name, Value: value})
	}
	add("ISA", runtime.GOARCH)
	add("OSFamily", runtime.GOOS)
	if o.IgnoreFormerOutputs {
		add("fstrace-ignore-former-outputs", "true")
	}
	add("fstrace-owner", fmt.Sprintf("%d:%d", os.Geteuid(), os.Getegid()))
	if t.Merged {
		add("fstrace-output", "merged")
	}
	var places []string
	for _, place := range o.Places {
		places = append(places, place.Name)
	}
	if len(places) > 0 {
		add("fstrace-places", strings.Join(places, " "))
	}
	if t.Stdin != (Digest{}) {
		add("fstrace-stdin", t.Stdin.String())
	}
	if t.Terminal != "" {
		add("fstrace-terminal", t.Terminal)
	}
	add("fstrace-times", o.Times.String())
	add("fstrace-umask", strconv.FormatInt(int64(umask()), 8))
	return p
}

// Paths in messages must be relative. The first component is the name of a place, or
// elsewhere for all others.
const elsewhere = "_"

// treePath returns the path of a form in messages.
func treePath(form string) string {
	if s, ok := strings.CutPrefix(form, "//"); ok {
		return s
	}
	return elsewhere + form
}

// fromTreePath returns the absolute path of a path in messages, and reports whether it is
// one.
func fromTreePath(places manifest.Places, s string) (string, bool) {
	if path, ok := strings.CutPrefix(s, elsewhere+"/"); ok {
		return "/" + path, isClean("/" + path)
	}
	if !isClean("/" + s) {
		return "", false
	}
	return places.Path("//" + s)
}
