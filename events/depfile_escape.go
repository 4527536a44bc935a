package events

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// How make and ninja read a rule, as tried with GNU make 4.3 and ninja 1.11:
//
//	space   "\ "    and each backslash before it doubled
//	#       "\#"    but with a backslash before it they disagree
//	:       "\:"    likewise; and at a name's end ninja takes it for the rule's
//	$       "$$"    but ninja ends a name at "\$"
//	\       itself, before anything else; at a name's end it would escape the end
//	)       at a name's end make may take it for the end of an archive's member
//	tab ; | * < > ^ ` and control characters: ninja ends a name there, or both do
//	" ' & ? themselves; ninja before 1.13 ends a name there, and then always
//	        finds the rule out of date, which harms nobody
//	[       itself: make takes it for a pattern, and for itself where no file matches
//
// What has no spelling that both read is refused by name: a rule that says
// something else would be worse than none.

// depPlain are the characters besides letters, digits and bytes above 127 that
// stand for themselves.
const depPlain = `!%+,-./=@_~(){}[]"'&?`

// appendTargets appends `target...:`.
func appendTargets(b []byte, targets []string) ([]byte, error) {
	for i, t := range targets {
		if i > 0 {
			b = append(b, ' ')
		}
		var err error
		switch {
		case t == "":
			err = errors.New("it is empty")
		case t[0] == '~':
			err = errors.New(`make takes "~" at the beginning for a home directory`)
		case strings.Contains(t, "%"):
			err = errors.New(`make takes "%" for a pattern`)
		case strings.Contains(t, "="):
			err = errors.New(`make takes "=" for an assignment`)
		case strings.HasSuffix(t, "&"):
			err = errors.New(`make takes "&" at the end for a grouped rule`)
		default:
			b, err = appendName(b, t)
		}
		if err != nil {
			return nil, fmt.Errorf("depfile: write target %q: %w", t, err)
		}
	}
	return append(b, ':'), nil
}

// appendPrerequisites appends the rest of the rule, a line for each path.
func appendPrerequisites(b []byte, paths []string) ([]byte, error) {
	for i, p := range plainFirst(paths) {
		b = append(b, " \\\n  "...)
		var err error
		if i == 0 && strings.Contains(p, "=") {
			err = errors.New(`make takes "=" in the first prerequisite for an assignment`)
		} else {
			b, err = appendName(b, p)
		}
		if err != nil {
			return nil, fmt.Errorf("depfile: write prerequisite %q: %w", p, err)
		}
	}
	return append(b, '\n'), nil
}

// appendPhony appends an empty rule for each path that can be a target. Make would
// expand a pattern to whatever else matches it.
func appendPhony(b []byte, paths []string) []byte {
	for _, p := range paths {
		if strings.ContainsAny(p, "?[]") {
			continue
		}
		if rule, err := appendTargets(b, []string{p}); err == nil {
			b = append(rule, '\n')
		}
	}
	return b
}

// plainFirst returns paths such that the first has no "=" if there is one that
// has none: `target: /a=b` would set a variable for the target.
func plainFirst(paths []string) []string {
	i := slices.IndexFunc(paths, func(p string) bool { return !strings.Contains(p, "=") })
	if i <= 0 {
		return paths
	}
	return slices.Concat(paths[i:i+1], paths[:i], paths[i+1:])
}

// appendName appends the name of a file such that make and ninja both read it.
func appendName(b []byte, name string) ([]byte, error) {
	backslashes := 0 // just before name[i]
	for i := 0; i < len(name); i++ {
		c := name[i]
		switch {
		case c == '\\':
			backslashes++
			b = append(b, c)
			continue
		case c == ' ':
			for ; backslashes > 0; backslashes-- {
				b = append(b, '\\')
			}
			b = append(b, '\\', ' ')
		case c == '#' || c == ':' || c == '$':
			if backslashes > 0 {
				return nil, fmt.Errorf(`make and ninja disagree on "\%c"`, c)
			}
			if c == '$' {
				b = append(b, '$', '$')
			} else {
				b = append(b, '\\', c)
			}
		case c == '\n':
			return nil, errors.New("it has a newline, which cannot be written there")
		case c < 0x80 && !isAlnum(c) && strings.IndexByte(depPlain, c) < 0:
			return nil, fmt.Errorf("%q cannot be written such that make and ninja both read it", c)
		default:
			b = append(b, c)
		}
		backslashes = 0
	}
	switch c := name[len(name)-1]; c {
	case ' ', ':', '\\', ')':
		return nil, fmt.Errorf("%q at the end cannot be written such that make and ninja both read it", c)
	}
	return b, nil
}

func isAlnum(c byte) bool {
	return '0' <= c && c <= '9' || 'A' <= c && c <= 'Z' || 'a' <= c && c <= 'z'
}
