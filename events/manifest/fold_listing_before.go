package manifest

import (
	"slices"
	"strings"

	"github.com/fstrace/fstrace/events"
)

// names makes of what a directory has now what it had before the session changed it,
// sorted. In most directories the session has changed nothing.
func (x *outcome) names(o *origin, dir string, now []string) []string {
	there := 0 // of what is known, how much was there before
	for _, c := range o.more.below.list {
		if exists(c.state) {
			there++
		}
	}
	list := make([]string, 0, len(now))
	for _, typed := range now {
		name := nameOf(typed)
		switch c := o.more.below.find(name); {
		case c != nil && exists(c.state):
			there--
			if typed[0] != typeLetters[c.state] {
				typed = typedName(c.state, name)
			}
			if x.reports(dir, name) {
				list = append(list, typed)
			}
		case c != nil && c.away && c.state != events.StateNone:
			// It was not there, and the session put it there.
		case x.reports(dir, name) && (x.m.Record == "" || x.m.Record != join(dir, name)):
			list = append(list, typed)
		}
	}
	if there > 0 {
		list = x.appendGone(list, o, dir, now)
	}
	sortNames(list)
	return list
}

// isAsListed reports whether what the session finds at o when it first comes to it agrees
// with what it has listed in the directory before.
func (f *fold) isAsListed(o *origin) bool {
	if o.parent == nil || !isCertain(o.state) {
		return true
	}
	l := o.parent.more.listing
	if l == nil || l.unread || l.late || l.readHash == "" || len(f.mounted) > 0 || f.forgotten.names[o.parent] != nil {
		return true
	}
	i, listed := slices.BinarySearchFunc(l.names, o.name, func(typed, name string) int { return strings.Compare(nameOf(typed), name) })
	if !listed {
		return !exists(o.state)
	}
	return exists(o.state) && l.names[i][0] == typeLetters[o.state]
}

// isAsBefore reports whether names would return now, which is sorted, and sees that
// sooner.
func (x *outcome) isAsBefore(o *origin, dir string, now []string) bool {
	if x.patterns.patterns != nil || x.m.Record != "" && parentOf(x.m.Record) == dir {
		return false
	}
	for _, c := range o.more.below.list {
		switch {
		case exists(c.state):
			i, isThere := slices.BinarySearchFunc(now, c.name, func(typed, name string) int { return strings.Compare(nameOf(typed), name) })
			if !isThere || now[i][0] != typeLetters[c.state] {
				return false
			}
		case c.away && c.state != events.StateNone:
			return false
		}
	}
	return true
}

// reports reports whether an entry of a directory is chosen by the patterns.
func (x *outcome) reports(dir, name string) bool {
	return x.patterns.patterns == nil || x.patterns.reports(join(dir, name))
}

// appendGone appends what was in a directory before and now no longer is.
func (x *outcome) appendGone(list []string, o *origin, dir string, now []string) []string {
	still := make(map[string]bool, len(now))
	for _, typed := range now {
		still[nameOf(typed)] = true
	}
	for _, c := range o.more.below.list {
		if exists(c.state) && !still[c.name] && x.reports(dir, c.name) {
			list = append(list, typedName(c.state, c.name))
		}
	}
	return list
}
