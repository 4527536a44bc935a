package events

import (
	"strings"
	"unicode/utf8"
)

// match reports whether path, or a directory that it is below, matches.
func (g *glob) match(path string) bool {
	for _, tokens := range g.alternatives {
		if matchTokens(tokens, path) {
			return true
		}
	}
	return false
}

// A globRetry is where to go on when what follows a wildcard does not match:
// the wildcard takes more of the path, up to pos.
type globRetry struct {
	set   bool
	token int // the one after the wildcard
	pos   int
}

// matchTokens needs to remember only the last "*" and the last "**". Whatever
// an earlier one could have taken more of the path for, the later can take as
// well: the earliest place for what stands between them is as good as any. So
// the time is at most quadratic in the path, whatever the pattern.
func matchTokens(tokens []globToken, path string) bool {
	var star, deep globRetry
	t, pos := 0, 0
	for {
		if t == len(tokens) {
			if pos == len(path) || path[pos] == '/' {
				return true
			}
		} else {
			tok := &tokens[t]
			n := -1 // bytes that the token takes now
			switch tok.kind {
			case globStar:
				n = 0
				star = globRetry{true, t + 1, pos}
			case globDeep, globDirs:
				n = 0
				deep, star = globRetry{true, t + 1, pos}, globRetry{}
			case globLiteral:
				if strings.HasPrefix(path[pos:], tok.literal) {
					n = len(tok.literal)
				}
			default:
				n = tok.one(path[pos:])
			}
			if n >= 0 {
				t++
				pos += n
				continue
			}
		}
		switch {
		case star.set && star.more(globStar, path):
			t, pos = star.token, star.pos
		case deep.set && deep.more(tokens[deep.token-1].kind, path):
			t, pos = deep.token, deep.pos
			star = globRetry{}
		default:
			return false
		}
	}
}

// more has the wildcard take more of the path: a character or, for globDirs, a component.
// It reports whether it could.
func (r *globRetry) more(kind globKind, path string) bool {
	rest := path[r.pos:]
	if kind == globDirs {
		n := strings.IndexByte(rest, '/')
		r.pos += n + 1
		return n >= 0
	}
	if rest == "" || kind == globStar && rest[0] == '/' {
		return false
	}
	_, n := utf8.DecodeRuneInString(rest)
	r.pos += n
	return true
}

// one returns the length of the character that s begins with, if the token
// matches it, and -1 otherwise. A byte that is not UTF-8 is a character.
func (t *globToken) one(s string) int {
	if s == "" || s[0] == '/' {
		return -1
	}
	r, n := utf8.DecodeRuneInString(s)
	if t.kind == globOneOf && !t.class.has(r) {
		return -1
	}
	return n
}

func (c *globClass) has(r rune) bool {
	for _, lohi := range c.ranges {
		if lohi[0] <= r && r <= lohi[1] {
			return !c.negated
		}
	}
	return c.negated
}
