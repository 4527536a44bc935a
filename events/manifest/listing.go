package manifest

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"

	"github.com/fstrace/fstrace/events"
)

// The letters before the names of a listing. A name may hold anything but "/"
// and NUL, so a mark behind it, as ls -F has, could be a part of it.
var typeLetters = [...]byte{
	events.StateFile: 'f', events.StateDir: 'd', events.StateSymlink: 'l', events.StateOther: 'o',
}

func typedName(s events.State, name string) string { return string(typeLetters[s]) + ":" + name }

// nameOf undoes typedName.
func nameOf(typed string) string { return typed[len("f:"):] }

func isTypedName(s string) bool {
	if len(s) < len("f:x") || s[1] != ':' {
		return false
	}
	switch s[0] {
	case 'f', 'd', 'l', 'o':
		return true
	}
	return false
}

// sortNames sorts by name, not by type.
func sortNames(names []string) { slices.SortFunc(names, compareNames) }

func compareNames(a, b string) int {
	if !isTypedName(a) || !isTypedName(b) { // in a document that is damaged
		return strings.Compare(a, b)
	}
	return strings.Compare(nameOf(a), nameOf(b))
}

// hashNames is the Entries of sorted names.
func hashNames(names []string) string {
	h := sha256.New()
	for _, name := range names {
		h.Write([]byte(name))
		h.Write([]byte{0})
	}
	return hex.EncodeToString(h.Sum(nil))
}

// adjust returns names, without those that drop tells, and with others in their
// place or beside them, sorted. others has typed names by name.
func adjust(names []string, drop func(name string) bool, others map[string]string) []string {
	list := make([]string, 0, len(names)+len(others))
	for _, typed := range names {
		name := nameOf(typed)
		if _, ok := others[name]; !ok && !drop(name) {
			list = append(list, typed)
		}
	}
	for _, typed := range others {
		list = append(list, typed)
	}
	sortNames(list)
	return list
}

// differences returns what b has and a has not, and the reverse, of sorted names.
func differences(a, b []string) (added, gone []string) {
	in := make(map[string]bool, len(a))
	for _, name := range a {
		in[name] = true
	}
	for _, name := range b {
		if !in[name] {
			added = append(added, name)
		}
		delete(in, name)
	}
	for _, name := range a {
		if in[name] {
			gone = append(gone, name)
		}
	}
	return added, gone
}
