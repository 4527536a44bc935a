package cache

import (
	"fmt"
	"strings"

	repb "github.com/bazelbuild/remote-apis/build/bazel/remote/execution/v2"
	"github.com/fstrace/fstrace/events/manifest"
)

// A taskKey is the first key of a task, and what the second keys are made of.
type taskKey struct {
	task   *Task
	o      *Options
	digest Digest
}

// A message is an encoded message, by its digest.
type message struct {
	Digest
	bytes []byte
}

func newMessage(b []byte, err error) (message, error) { return message{DigestOf(b), b}, err }

func (c *Cache) key(t *Task) (*taskKey, error) {
	k := &taskKey{task: t, o: &c.Options}
	messages, err := k.messages(nil)
	if err != nil {
		return nil, err
	}
	k.digest = messages[0].Digest
	return k, nil
}

// messages returns the Action message of a key, and the blobs to which it refers. The
// second key has what was found in a file of the input directory; the first has an empty
// directory.
func (k *taskKey) messages(found []byte) ([]message, error) {
	dir := &repb.Directory{}
	if found != nil {
		dir.Files = []*repb.FileNode{{Name: foundName, Digest: DigestOf(found).message()}}
	}
	root, err := newMessage(encode(dir))
	if err != nil {
		return nil, err
	}
	a, cmd, err := k.task.action(k.o, root.Digest)
	if err != nil {
		return nil, err
	}
	command, err := newMessage(encode(cmd))
	if err != nil {
		return nil, err
	}
	action, err := newMessage(encode(a))
	return []message{action, command, root}, err
}

// A candidate is the path set of an earlier run, and what was found at its paths when it
// was used last.
type candidate struct{ paths, found Digest }

// mostCandidates is how many path sets of a task are kept.
const mostCandidates = 10

// Names in the list of candidates, which is a result with two files for each.
const (
	pathsName = "paths"
	foundName = "found"
)

// candidatesOf reads a list of candidates.
func candidatesOf(r *repb.ActionResult) ([]candidate, error) {
	var list []candidate
	for _, f := range r.GetOutputFiles() {
		d, err := digestFrom(f.GetDigest())
		if err != nil {
			return nil, err
		}
		_, name, _ := strings.Cut(f.GetPath(), "/")
		switch {
		case name == pathsName:
			list = append(list, candidate{paths: d})
		case name == foundName && len(list) > 0:
			list[len(list)-1].found = d
		default:
			return nil, fmt.Errorf("list of path sets: file %q", f.GetPath())
		}
	}
	return list[:min(len(list), mostCandidates)], nil
}

// message returns the result that has a list of candidates.
func candidateList(list []candidate) *repb.ActionResult {
	r := &repb.ActionResult{}
	for i, x := range list {
		for _, f := range [...]struct {
			name string
			d    Digest
		}{{pathsName, x.paths}, {foundName, x.found}} {
			r.OutputFiles = append(r.OutputFiles, &repb.OutputFile{Path: fmt.Sprintf("%d/%s", i, f.name), Digest: f.d.message()})
		}
	}
	return r
}

// withFirst returns a list with x at its front, once.
func withFirst(x candidate, list []candidate) []candidate {
	all := []candidate{x}
	for _, y := range list {
		if y.paths != x.paths && len(all) < mostCandidates {
			all = append(all, y)
		}
	}
	return all
}

// pathSetOptions are those of all path sets of a cache.
func (o *Options) pathSetOptions() manifest.PathSetOptions {
	return manifest.PathSetOptions{Times: o.Times, IgnoreFormerOutputs: o.IgnoreFormerOutputs, Places: o.Places}
}
