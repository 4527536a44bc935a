package manifest

import (
	"github.com/fstrace/fstrace/events"
)

// ways looks at the directories that paths led through and in which the session made or
// removed names, and that it did not otherwise come to. Had the session changed one, an
// event would say so: they are now as they were.
func (x *outcome) ways() {
	for o := range x.paths.all.all() {
		if !o.way && !o.names {
			continue
		}
		if o.state == events.StateNone {
			path := o.wentTo()
			if path == "" {
				continue
			}
			info, err := x.fs.lstat(path)
			o.known, o.state = true, stateOf(&info, err)
			if err == nil {
				o.info = x.infos.add(info)
			}
		}
		switch {
		case o.state == events.StateDir:
			o.facts |= ruleWay.dir
		case o.names: // ENOENT, ENOTDIR
			o.facts |= ruleWay.learns(o.state)
		}
	}
}

// lacksDir reports whether a component on the way of an absent path is no directory.
func (o *origin) lacksDir() bool {
	for up := o.parent; up != nil; up = up.parent {
		switch up.state {
		case events.StateFile, events.StateOther:
			return true
		case events.StateDir:
			return false
		}
	}
	return false
}
