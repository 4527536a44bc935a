package cache

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	repb "github.com/bazelbuild/remote-apis/build/bazel/remote/execution/v2"
	"github.com/fstrace/fstrace/events"
	"github.com/fstrace/fstrace/events/manifest"
	"google.golang.org/protobuf/types/known/timestamppb"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

type resultMessage = repb.ActionResult

// A result is what a command left behind.
type result struct {
	exit   int
	files  []fileOutput
	links  []linkOutput
	output map[stream]Digest
	effects
	effectsBlob Digest
}

// A fileOutput is a file that the command wrote or created.
type fileOutput struct {
	path   string
	digest Digest
	mode   uint32
	mtime  time.Time // zero: that of the restoration
}

// A linkOutput is a symbolic link that the command created.
type linkOutput struct{ path, target string }

// effects are what an ActionResult has no field for. They are a blob of their own. Paths
// are as in messages.
type effects struct {
	// Dirs are directories that the command created. Changed are files and directories of
	// which it changed only the mode or the time.
	Dirs    []attributes `json:"dirs,omitempty"`
	Changed []attributes `json:"changed,omitempty"`
	Removed []string     `json:"removed,omitempty"`
	// Free are paths at which nothing may be: the command had temporary files there.
	Free []pathText `json:"free,omitempty"`
	// Log is the order of the output.
	Log      []chunk `json:"log,omitempty"`
	Duration int64   `json:"durationNs"`
}

type attributes struct {
	Path string `json:"path"`
	Mode uint32 `json:"mode"`
	// Now means that the command set the time to that of the moment.
	Now bool `json:"now,omitempty"`
}

// A pathText is a form of a path as JSON has it, in base64: it need not be UTF-8.
type pathText []byte

// effectsName is the file of an ActionResult that has the effects. It is in no place.
const effectsName = "effects.json"

// fileBlob is the blob of a file.
func fileBlob(path string, d Digest) Blob {
	return Blob{d, func() (io.ReadCloser, error) { return os.Open(path) }}
}

// newResult returns the result of a run as a message, and its blobs. Nothing may be at
// the free paths when it is restored. It returns a *Refusal if the result could not be
// restored.
func newResult(o *Options, x *ran, free []string) (*resultMessage, []Blob, error) {
	b := &builder{o: o, x: x, r: &resultMessage{ExitCode: int32(x.m.Exit.Code)}, e: effects{Log: x.output.log, Duration: int64(x.duration)}}
	for i := range x.m.Outputs {
		if err := b.add(&x.m.Outputs[i]); err != nil {
			return nil, nil, err
		}
	}
	for _, path := range x.m.Removed {
		tree, err := b.tree(path)
		if err != nil {
			return nil, nil, err
		}
		b.e.Removed = append(b.e.Removed, tree)
	}
	for _, path := range free {
		b.e.Free = append(b.e.Free, pathText(o.Places.Form(path)))
	}
	if x.output.err != nil {
		return nil, nil, refuse(RefusedOutput, "the output could not be kept: %v", x.output.err)
	}
	for s, field := range map[stream]**repb.Digest{stdout: &b.r.StdoutDigest, stderr: &b.r.StderrDigest} {
		if one := x.output.blob(s); one.Size > 0 {
			*field = one.message()
			b.blobs = append(b.blobs, one)
		}
	}
	text, err := json.Marshal(&b.e)
	if err != nil {
		return nil, nil, err
	}
	d := DigestOf(text)
	b.r.OutputFiles = append(b.r.OutputFiles, &repb.OutputFile{Path: effectsName, Digest: d.message()})
	b.blobs = append(b.blobs, bytesBlob(message{d, text}))
	return b.r, b.blobs, nil
}

// A builder makes a message of a result.
type builder struct {
	o     *Options
	x     *ran
	r     *resultMessage
	e     effects
	blobs []Blob
}

// tree returns the path of an output in messages.
func (b *builder) tree(path string) (string, error) {
	if !utf8.ValidString(path) {
		return "", refuse(RefusedOutput, "%s is not UTF-8", events.Quote(path))
	}
	return treePath(b.o.Places.Form(path)), b.o.inside(path)
}

func (b *builder) add(e *manifest.Entry) error {
	path, err := b.tree(e.Path)
	if err != nil {
		return err
	}
	st, err := restorable(e, b.x.m.Surroundings)
	if err != nil {
		return err
	}
	if isDir := e.State == events.StateDir; e.Before != events.StateAbsent && isDir != (e.Before == events.StateDir) {
		// It could not be replaced without a moment in which there is neither.
		return refuse(RefusedOutput, "%s was a %s, and is a %s now", events.Quote(e.Path), e.Before, e.State)
	}
	mtime := time.Unix(st.Mtim.Unix())
	isNow := mtime.After(b.x.start.Add(-time.Second))
	switch {
	case e.State == events.StateDir && e.Before != events.StateDir:
		b.e.Dirs = append(b.e.Dirs, attributes{Path: path, Mode: e.Mode})
	case e.State == events.StateSymlink:
		if !utf8.ValidString(e.Target) {
			return refuse(RefusedOutput, "the target of %s is not UTF-8", events.Quote(e.Path))
		}
		b.r.OutputSymlinks = append(b.r.OutputSymlinks, &repb.OutputSymlink{Path: path, Target: b.o.Places.Form(e.Target)})
	case e.SHA256 == "" && slices.ContainsFunc(e.Ops, isContentOp):
		return refuse(RefusedOutput, "the content of %s is not known", events.Quote(e.Path))
	case e.SHA256 == "":
		b.e.Changed = append(b.e.Changed, attributes{path, e.Mode, e.State == events.StateFile && isNow})
	default:
		d := Digest{e.SHA256, e.Size}
		properties := &repb.NodeProperties{UnixMode: wrapperspb.UInt32(e.Mode)}
		if !isNow { // the command has set it: cp -p, tar
			properties.Mtime = timestamppb.New(mtime)
		}
		b.r.OutputFiles = append(b.r.OutputFiles, &repb.OutputFile{
			Path: path, Digest: d.message(), IsExecutable: e.Mode&0o111 != 0, NodeProperties: properties,
		})
		b.blobs = append(b.blobs, fileBlob(e.Path, d))
	}
	return nil
}

// isContentOp reports whether an operation may change what a file contains, or which file
// a path names.
func isContentOp(op events.Op) bool {
	switch op {
	case events.OpWrite, events.OpCreate, events.OpRename, events.OpDelete:
		return true
	}
	return false
}

// parseResult checks a message that somebody else may have written. Its blob with the
// effects is not read yet.
func parseResult(o *Options, r *resultMessage) (*result, error) {
	x := &result{exit: int(r.GetExitCode()), output: make(map[stream]Digest)}
	for _, f := range r.GetOutputFiles() {
		d, err := digestFrom(f.GetDigest())
		if err != nil {
			return nil, err
		}
		if f.GetPath() == effectsName {
			x.effectsBlob = d
			continue
		}
		path, err := restoredPath(o, f.GetPath())
		if err != nil {
			return nil, err
		}
		file := fileOutput{path: path, digest: d, mode: f.GetNodeProperties().GetUnixMode().GetValue()}
		if file.mode > 0o7777 {
			return nil, fmt.Errorf("result: %s: mode %o", path, file.mode)
		}
		if t := f.GetNodeProperties().GetMtime(); t != nil {
			file.mtime = t.AsTime()
		}
		x.files = append(x.files, file)
	}
	for _, l := range r.GetOutputSymlinks() {
		path, err := restoredPath(o, l.GetPath())
		if err != nil {
			return nil, err
		}
		target, ok := o.Places.Path(l.GetTarget())
		if !ok || target == "" || strings.ContainsRune(target, 0) {
			return nil, fmt.Errorf("result: %s: symbolic link to %q", path, l.GetTarget())
		}
		x.links = append(x.links, linkOutput{path, target})
	}
	for s, m := range map[stream]*repb.Digest{stdout: r.GetStdoutDigest(), stderr: r.GetStderrDigest()} {
		if m == nil {
			continue
		}
		d, err := digestFrom(m)
		if err != nil {
			return nil, err
		}
		x.output[s] = d
	}
	if x.effectsBlob == (Digest{}) || x.exit < 0 || x.exit > 255 {
		return nil, fmt.Errorf("result: exit status %d, or no %s", x.exit, effectsName)
	}
	return x, nil
}

// restoredPath returns the path of an output, which must be where outputs may be.
func restoredPath(o *Options, s string) (string, error) {
	path, ok := fromTreePath(o.Places, s)
	if !ok {
		return "", fmt.Errorf("result: %q is no path of this cache", s)
	}
	if err := o.inside(path); err != nil {
		return "", fmt.Errorf("result: %w", err)
	}
	return path, nil
}

// parseEffects reads the blob with the effects.
func (x *result) parseEffects(o *Options, text []byte) error {
	if err := json.Unmarshal(text, &x.effects); err != nil {
		return fmt.Errorf("result: %s: %w", effectsName, err)
	}
	var err error
	resolve := func(path *string) {
		var e error
		if *path, e = restoredPath(o, *path); err == nil {
			err = e
		}
	}
	for _, list := range [...][]attributes{x.Dirs, x.Changed} {
		for i := range list {
			resolve(&list[i].Path)
			if list[i].Mode > 0o7777 {
				return fmt.Errorf("result: %s: mode %o", list[i].Path, list[i].Mode)
			}
		}
	}
	for i := range x.Removed {
		resolve(&x.Removed[i])
	}
	sizes := make(map[stream]int64)
	for _, c := range x.Log {
		sizes[c.Stream] += c.Size
	}
	for _, s := range [...]stream{stdout, stderr} {
		if sizes[s] != x.output[s].Size {
			return fmt.Errorf("result: %d bytes of output %d, and %d in the log", x.output[s].Size, s, sizes[s])
		}
	}
	return err
}

// blobs returns the blobs that a restoration needs.
func (x *result) blobs() []Digest {
	list := []Digest{x.effectsBlob}
	for _, f := range x.files {
		list = append(list, f.digest)
	}
	for _, d := range x.output {
		list = append(list, d)
	}
	return list
}
