package manifest

import "github.com/fstrace/fstrace/events"

// An effect is what an operation does to what stands at a path, if it succeeds. What it
// does not affect for certain, as mkdir does not affect what is there already, it leaves
// unchanged: then it only learns.
//
// Whether a call that may succeed did so is not known as it is folded. The fold takes it
// that it did; correct and outcome undo that where what is found later says otherwise.
type effect uint8

const (
	keeps    effect = iota // unchanged
	makes                  // something new stands there
	writes                 // the same file has other content
	dresses                // the same has another mode, owner or time
	links                  // the same has one name more
	moves                  // it has the other name, and nothing stands there, or what is exchanged for it
	replaces               // what had the other name stands there
	removes                // nothing stands there
)

var effectWords = [...]string{
	keeps: "unchanged", makes: "created", writes: "written", dresses: "attributes set", links: "linked",
	moves: "moved", replaces: "replaced", removes: "removed",
}

func (e effect) String() string { return effectWords[e] }

// effects are what an operation does, by what stands at the path.
type effects struct{ file, dir, symlink, absent effect }

// on returns what a rule does to a path at which s stands. What cannot be looked at is
// left alone: the call that names it failed, or the record is incomplete.
func (r *rule) on(s events.State) effect {
	switch s {
	case events.StateFile, events.StateOther:
		return r.does.file
	case events.StateDir:
		return r.does.dir
	case events.StateSymlink:
		return r.does.symlink
	case events.StateAbsent:
		return r.does.absent
	}
	return keeps
}
