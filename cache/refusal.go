package cache

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/fstrace/fstrace/events"
	"github.com/fstrace/fstrace/events/manifest"
	"golang.org/x/sys/unix"
)

// A Refusal says why the result of a run is not kept. The command has run all the same.
type Refusal struct {
	Reason RefusalReason
	Detail string
}

// Error returns the reason and the detail.
func (r *Refusal) Error() string { return string(r.Reason) + ": " + r.Detail }

// A RefusalReason is why a result is not kept. The list is closed.
type RefusalReason string

// Reasons.
const (
	RefusedFailed     RefusalReason = "the command failed"
	RefusedIncomplete RefusalReason = "the record is incomplete"
	RefusedExternal   RefusalReason = "the command may have used an external source"
	RefusedOutside    RefusalReason = "an output is outside"
	RefusedOutput     RefusalReason = "an output cannot be restored"
	RefusedInput      RefusalReason = "an input cannot be compared"
	RefusedChanged    RefusalReason = "an output changed after the run"
	RefusedKey        RefusalReason = "the command cannot be a key"
	RefusedStore      RefusalReason = "the store"
)

func refuse(reason RefusalReason, format string, args ...any) error {
	return &Refusal{reason, fmt.Sprintf(format, args...)}
}

// admit returns a *Refusal if the result of a run must not be kept.
func (o *Options) admit(t *Task, m *manifest.Manifest) error {
	switch {
	case m.Exit.Signal != "", m.Exit.Code != 0 && !o.KeepFailures:
		return refuse(RefusedFailed, "%s", m.Exit)
	case !m.Complete():
		gap := m.Incomplete[0]
		return refuse(RefusedIncomplete, "%s: %s", gap.Reason, gap.Detail)
	case m.Surroundings == nil:
		return refuse(RefusedIncomplete, "the manifest does not say what the command started with")
	}
	for i := range m.External {
		x := &m.External[i]
		isInput := x.Descriptor == 0 && x.Kind == manifest.ExternalPipe && t.Stdin != (Digest{}) // of which the key has the digest
		if !isInput && !slices.Contains(o.External, x.Kind) {
			return refuse(RefusedExternal, "%s", x)
		}
	}
	return nil
}

// inside returns a *Refusal if a path may not be restored.
func (o *Options) inside(path string) error {
	if len(o.Inside) == 0 || slices.ContainsFunc(o.Inside, func(dir string) bool { return isWithin(path, dir) }) {
		return nil
	}
	return refuse(RefusedOutside, "%s is not in %s", events.Quote(path), strings.Join(o.Inside, ", "))
}

// restorable returns what is at the path of an output, or a *Refusal if the store cannot
// put it back.
func restorable(e *manifest.Entry, s *manifest.Surroundings) (*unix.Stat_t, error) {
	no := func(format string, args ...any) error {
		return refuse(RefusedOutput, "%s "+format, append([]any{events.Quote(e.Path)}, args...)...)
	}
	st := &unix.Stat_t{}
	if err := unix.Lstat(e.Path, st); err != nil {
		return nil, refuse(RefusedChanged, "%s: %v", events.Quote(e.Path), err)
	}
	switch e.State {
	case events.StateFile, events.StateDir, events.StateSymlink:
	default:
		return nil, no("is a %s", e.State)
	}
	switch n, err := unix.Llistxattr(e.Path, nil); {
	case e.Shared:
		return nil, no("was inherited, open for writing")
	case e.State == events.StateFile && st.Nlink > 1:
		return nil, no("has %d names", st.Nlink)
	case st.Uid != s.UID || st.Gid != s.GID:
		return nil, no("is owned by %d:%d, not by %d:%d", st.Uid, st.Gid, s.UID, s.GID)
	case err == nil && n > 0:
		return nil, no("has extended attributes")
	case err != nil && !errors.Is(err, unix.ENOTSUP) && !errors.Is(err, unix.EPERM):
		return nil, no("cannot be asked for extended attributes: %v", err)
	}
	return st, nil
}

// isWithin reports whether path is dir or below it.
func isWithin(path, dir string) bool {
	rest, ok := strings.CutPrefix(path, strings.TrimSuffix(dir, "/"))
	return ok && (rest == "" || rest[0] == '/')
}

// isClean reports whether a path is absolute, and has no empty component, "." or "..".
func isClean(path string) bool {
	if path == "/" {
		return true
	}
	rest, ok := strings.CutPrefix(path, "/")
	if !ok || strings.ContainsRune(path, 0) {
		return false
	}
	for _, name := range strings.Split(rest, "/") {
		if name == "" || name == "." || name == ".." {
			return false
		}
	}
	return true
}
