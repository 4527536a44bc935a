package events

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// A glob matches paths by name, as the --only and --ignore flags mean it:
//
//   - any characters but '/'
//     **     any characters; between slashes, whole components or none
//     ?      any character but '/'
//     [a-z]  one of these characters; [!a-z] any but these and '/'
//     {a,b}  either
//     \x     x itself
//
// A pattern that does not begin at the root matches at any depth. What matches
// a directory matches everything below it.
//
// It is compiled to tokens and matched by hand: filters see each event, and a
// regular expression takes longer for one path than the kernel for the call. The package
// github.com/bmatcuk/doublestar has another meaning of patterns: its "**" crosses slashes
// only as a whole component, and a pattern matches only from the root. It also parses the
// pattern again for each path.
type glob struct {
	alternatives [][]globToken // of the braces, multiplied out
}

type globToken struct {
	kind    globKind
	literal string
	class   globClass
}

type globKind uint8

const (
	globLiteral globKind = iota
	globStar             // "*"
	globDeep             // "**"
	globDirs             // "**/" after a "/": whole components, or nothing
	globAny              // "?"
	globOneOf            // "[...]"
)

type globClass struct {
	negated bool
	ranges  [][2]rune
}

// maxAlternatives bounds what braces multiply out to.
const maxAlternatives = 1024

func parseGlob(pattern string) (*glob, error) {
	if pattern == "" {
		return nil, errors.New("empty pattern")
	}
	var plain []string
	if err := expandBraces(pattern, &plain); err != nil {
		return nil, err
	}
	g := &glob{}
	for _, p := range plain {
		tokens, err := parseTokens(rootPattern(p))
		if err != nil {
			return nil, err
		}
		g.alternatives = append(g.alternatives, tokens)
	}
	return g, nil
}

// rootPattern has a pattern begin at the root, and not end in a slash.
func rootPattern(p string) string {
	p = strings.TrimRight(p, "/") // "/" itself becomes "", which everything is below
	switch {
	case p == "" || p[0] == '/':
		return p
	case strings.HasPrefix(p, "**/"):
		return "/" + p
	case strings.HasPrefix(p, "**"):
		return p
	}
	return "/**/" + p
}

// expandBraces appends to out what p stands for without braces.
func expandBraces(p string, out *[]string) error {
	open, depth, cuts := -1, 0, []int(nil)
	for i := 0; i < len(p); i++ {
		switch p[i] {
		case '\\':
			i++
		case '[':
			end := classEnd(p, i)
			if end < 0 {
				return errors.New(`"[" without "]"`)
			}
			i = end
		case '{':
			if depth++; depth == 1 {
				open = i
				cuts = append(cuts[:0], i)
			}
		case ',':
			if depth == 1 {
				cuts = append(cuts, i)
			}
		case '}':
			if depth == 0 {
				return errors.New(`"}" without "{"`)
			}
			if depth--; depth > 0 {
				continue
			}
			cuts = append(cuts, i)
			for k := range cuts[1:] {
				if err := expandBraces(p[:open]+p[cuts[k]+1:cuts[k+1]]+p[i+1:], out); err != nil {
					return err
				}
			}
			return nil
		}
	}
	if depth > 0 {
		return errors.New(`"{" without "}"`)
	}
	if len(*out) == maxAlternatives {
		return fmt.Errorf("braces stand for more than %d patterns", maxAlternatives)
	}
	*out = append(*out, p)
	return nil
}

// classEnd returns where the "]" is of the class that begins at p[i]; -1 if it
// has none. A "]" that comes first is one of the class.
func classEnd(p string, i int) int {
	i++
	if i < len(p) && (p[i] == '!' || p[i] == '^') {
		i++
	}
	for first := i; i < len(p); i++ {
		switch {
		case p[i] == '\\':
			i++
		case p[i] == ']' && i > first:
			return i
		}
	}
	return -1
}

// parseTokens reads a pattern without braces.
func parseTokens(p string) ([]globToken, error) {
	var tokens []globToken
	var literal []byte
	add := func(t globToken) {
		if len(literal) > 0 {
			tokens = append(tokens, globToken{kind: globLiteral, literal: string(literal)})
			literal = literal[:0]
		}
		if t.kind != globLiteral {
			tokens = append(tokens, t)
		}
	}
	for i := 0; i < len(p); i++ {
		switch p[i] {
		case '*':
			start := i
			for i+1 < len(p) && p[i+1] == '*' {
				i++
			}
			switch {
			case i == start:
				add(globToken{kind: globStar})
			case start > 0 && p[start-1] == '/' && i+1 < len(p) && p[i+1] == '/':
				i++
				add(globToken{kind: globDirs})
			default:
				add(globToken{kind: globDeep})
			}
		case '?':
			add(globToken{kind: globAny})
		case '[':
			end := classEnd(p, i)
			class, err := parseClass(p[i+1 : end])
			if err != nil {
				return nil, err
			}
			add(globToken{kind: globOneOf, class: class})
			i = end
		case '\\':
			if i++; i == len(p) {
				return nil, errors.New(`"\" at the end`)
			}
			literal = append(literal, p[i])
		default:
			literal = append(literal, p[i])
		}
	}
	add(globToken{kind: globLiteral})
	return tokens, nil
}

// parseClass reads what stands between "[" and "]".
func parseClass(s string) (globClass, error) {
	var c globClass
	if !utf8.ValidString(s) {
		return c, errors.New(`"[...]" with bytes that are not UTF-8`)
	}
	if s != "" && (s[0] == '!' || s[0] == '^') {
		c.negated = true
		s = s[1:]
	}
	next := func() rune {
		if s[0] == '\\' {
			s = s[1:]
		}
		r, n := utf8.DecodeRuneInString(s)
		s = s[n:]
		return r
	}
	for s != "" {
		low := next()
		high := low
		if len(s) > 1 && s[0] == '-' {
			s = s[1:]
			high = next()
		}
		if high < low {
			return c, fmt.Errorf("range %c-%c is backwards", low, high)
		}
		c.ranges = append(c.ranges, [2]rune{low, high})
	}
	return c, nil
}
