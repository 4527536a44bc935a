package manifest

import (
	"github.com/fstrace/fstrace/events"
)

// survivors finds what was to be removed, or replaced, after it had got another name,
// and still is there: it is an input, by the name that it had. Its guard has hashed it.
func (x *outcome) survivors() {
	byInode := make(map[inode]*origin)
	for o := range x.fold.paths.all.all() {
		if o.away && o.info.Known() && !o.isInput() {
			byInode[inodeOf(o.info)] = o
		}
	}
	for path, out := range x.outputs {
		o := byInode[inodeOf(&out.info)]
		if o == nil || o.state != out.State || o.state != events.StateDir && contentOf(o.info) != contentOf(&out.info) || o.path() == path {
			continue
		}
		o.ops |= opBit(events.OpRename)
		o.facts |= ruleRenameFrom.learns(o.state)
		o.hashing = o.state == events.StateFile
		if o.state == events.StateSymlink && o.more.target == "" {
			if target, err := x.fs.readlink(path); err == nil {
				o.edit().target = target
			}
		}
	}
}

// replaced finds what went away with its directory, in the place of which there is
// another one now.
func (x *outcome) replaced() {
	for _, o := range x.fold.paths.sorted(func(o *origin) bool { return o.away && exists(o.state) }) {
		path := o.path()
		if x.outputs[path] != nil || x.removed[path] || x.underRemoved(path) {
			continue
		}
		if info, err := x.fs.lstat(path); stateOf(&info, err) == events.StateAbsent {
			x.removed[path] = true
		}
	}
}

// aliases finds the files that the session changed by another of their names.
func (x *outcome) aliases() {
	for o := range x.fold.paths.all.all() {
		if !o.info.Known() || o.state != events.StateFile {
			continue
		}
		_, retold := x.fold.retold[inodeOf(o.info)]
		if !retold && x.fold.written[inodeOf(o.info)] == nil {
			continue
		}
		path := o.path()
		if x.outputs[path] != nil {
			continue
		}
		info, err := x.fs.lstat(path)
		if stateOf(&info, err) != events.StateFile || !isSame(o.info, &info) {
			continue
		}
		content := contentOf(&info) != contentOf(o.info)
		if content || o.facts.has(factLinks) && info.Nlink != o.info.Nlink || isReowned(o.info, &info) {
			if x.isRedressed(path, o, &info) {
				x.changed(path, redressed)
			}
			x.put(nil, path, events.StateFile, &info, content)
		}
	}
}
