package manifest

import (
	"errors"

	"github.com/fstrace/fstrace/events"
	"golang.org/x/sys/unix"
)

// ways looks at the directories that paths led through and in which the session made or
// removed names, and that it did not otherwise come to. Had the session changed one, an
// event would say so: they are now as they were.
func (x *outcome) ways() {
	for o := range x.fold.paths.all.all() {
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
				o.info = x.fold.infos.add(info)
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

// A lookupError is why there is nothing at a path.
type lookupError uint8

const (
	errNoEntry lookupError = iota // ENOENT
	errNotDir                     // ENOTDIR: a component on the way is no directory
	errLoop                       // ELOOP: too many symbolic links
)

var lookupErrors = [...]string{errNoEntry: "", errNotDir: "ENOTDIR", errLoop: "ELOOP"}

// String returns the word that a document has.
func (e lookupError) String() string { return lookupErrors[e] }

// lookupErrorOf returns why a look-up failed.
func lookupErrorOf(err error) lookupError {
	switch {
	case errors.Is(err, unix.ENOTDIR):
		return errNotDir
	case errors.Is(err, unix.ELOOP):
		return errLoop
	}
	return errNoEntry
}

// lookupError returns why there is nothing at o, by what stands above. A symbolic link
// there is one that could not be followed any more.
func (o *origin) lookupError() lookupError {
	for up := o.parent; up != nil; up = up.parent {
		switch up.state {
		case events.StateFile, events.StateOther:
			return errNotDir
		case events.StateSymlink:
			return errLoop
		case events.StateDir:
			return errNoEntry
		}
	}
	return errNoEntry
}
