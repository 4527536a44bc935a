package manifest

import (
	"maps"
	"slices"

	"github.com/fstrace/fstrace/events"
)

// survivors finds what was to be removed, or replaced, after it had got another name,
// and still is there: it is an input, by the name that it had. Its guard has hashed it.
func (x *outcome) survivors() {
	byInode := make(map[inode]*origin)
	for _, o := range x.origins {
		if o.away && o.info.Known() && !o.isInput() {
			byInode[inodeOf(&o.info)] = o
		}
	}
	for path, out := range x.outputs {
		o := byInode[inodeOf(&out.info)]
		if o == nil || o.path == path || o.state != out.State || o.state != events.StateDir && contentOf(&o.info) != contentOf(&out.info) {
			continue
		}
		o.ops |= opBit(events.OpRename)
		o.hashing = o.state == events.StateFile
		o.target = out.Target
	}
}

// replaced finds what went away with its directory, in the place of which there is
// another one now.
func (x *outcome) replaced() {
	for _, path := range slices.Sorted(maps.Keys(x.origins)) {
		o := x.origins[path]
		if !o.away || !exists(o.state) || x.outputs[path] != nil || x.removed[path] || x.underRemoved(path) {
			continue
		}
		if info, err := x.fs.lstat(path); stateOf(&info, err) == events.StateAbsent {
			x.removed[path] = true
		}
	}
}

// aliases finds the files that the session changed by another of their names.
func (x *outcome) aliases() {
	for path, o := range x.origins {
		if !o.info.Known() || o.state != events.StateFile || x.outputs[path] != nil {
			continue
		}
		_, retold := x.retold[inodeOf(&o.info)]
		if !retold && x.written[inodeOf(&o.info)] == nil {
			continue
		}
		info, err := x.fs.lstat(path)
		if stateOf(&info, err) != events.StateFile || !isSame(&o.info, &info) {
			continue
		}
		content := contentOf(&info) != contentOf(&o.info)
		if content || permissions(info.Mode) != permissions(o.info.Mode) {
			x.put(nil, path, events.StateFile, &info, content)
		}
	}
}
