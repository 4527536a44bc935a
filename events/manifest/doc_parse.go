package manifest

import (
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/fstrace/fstrace/events"
	"github.com/fstrace/fstrace/internal/jsonstring"
)

// A parser makes values of what was read, and keeps the first error.
type parser struct {
	root string
	err  error

	// What neighbours have in common is parsed once.
	words    []string // of the ops of the last entry
	ops      []events.Op
	owned    string // the last owner
	uid, gid int64
	minute   string // of the last time
	minuteNS int64
}

func (p *parser) fail(format string, args ...any) {
	if p.err == nil {
		p.err = fmt.Errorf(format, args...)
	}
}

// path makes a path absolute.
func (p *parser) path(s string) string {
	if p.root != "" && !path.IsAbs(s) && s != "" {
		if path.Clean(s) != s || s == ".." || len(s) > 2 && s[:3] == "../" {
			p.fail("path %q: not below the root", s)
			return s
		}
		return path.Join(p.root, s)
	}
	if !isClean(s) {
		p.fail("path %q: not absolute", s)
	}
	return s
}

func (p *parser) paths(list []string) []string {
	var all []string
	for _, s := range list {
		all = append(all, p.path(s))
	}
	return all
}

func (p *parser) state(word string) events.State {
	s, ok := events.ParseState(word)
	if !ok {
		p.fail("unknown state %q", word)
	}
	return s
}

func (p *parser) op(word string) events.Op {
	op, ok := events.ParseOp(word)
	if !ok {
		p.fail("unknown op %q", word)
	}
	return op
}

// opList returns the ops of an entry. Neighbours that have the same share them.
func (p *parser) opList(words []string) []events.Op {
	if len(words) == 0 || !slices.Equal(words, p.words) {
		p.words, p.ops = slices.Clone(words), nil
		for _, word := range words {
			p.ops = append(p.ops, p.op(word))
		}
		p.ops = slices.Clip(p.ops)
	}
	return p.ops
}

func (p *parser) entries(what string, list []wireEntry) []Entry {
	all := make([]Entry, len(list))
	errs := make([]error, len(list))
	parallel(len(list), func(i int) {
		one := parser{root: p.root}
		one.entry(&list[i], &all[i])
		errs[i] = one.err
	})
	for _, err := range errs {
		if err != nil {
			p.fail("%w", err)
			return all
		}
	}
	sortEntries(all)
	for i := range all {
		if i > 0 && all[i].Path == all[i-1].Path {
			p.fail("%s %q: there twice", what, all[i].Path)
		}
	}
	return all
}

// entry makes e of w. An entry that would compare with nothing is an error: it
// would be valid whatever happens.
func (p *parser) entry(w *wireEntry, e *Entry) {
	*e = newEntry(p.path(jsonstring.Join(w.Path, w.PathBase64)), p.state(w.State))
	e.SHA256, e.Target = w.SHA256, jsonstring.Join(w.Target, w.TargetBase64)
	e.Entries, e.Names, e.NotEmpty, e.Shared = w.Entries, w.Names, w.Empty != nil && !*w.Empty, w.Shared
	if w.Before != "" {
		e.Before = p.state(w.Before)
	}
	e.Ops = p.opList(w.Ops)
	e.Size, e.Links = p.number(w.Size), p.number(w.Links)
	e.Mtime = p.mtime(e.Path, w.Mtime)
	if w.Told != nil {
		e.Told = untold
		e.Told.Mtime, e.Told.Links = p.mtime(e.Path, w.Told.Mtime), p.number(w.Told.Links)
		if w.Told.Owner != "" {
			e.Told.UID, e.Told.GID = p.owner(e.Path, w.Told.Owner)
		}
	}
	if w.Owner != "" {
		e.UID, e.GID = p.owner(e.Path, w.Owner)
	}
	if e.Error = w.Error; !slices.Contains(lookupErrors[:], e.Error) {
		p.fail("%s: error %q", e.Path, w.Error)
	}
	if w.Mode != "" {
		var err error
		if e.Mode, err = parseMode(w.Mode); err != nil {
			p.fail("%s: %w", e.Path, err)
		}
	}
	file, dir := e.State == events.StateFile, e.State == events.StateDir
	switch {
	case e.SHA256 != "" && (!file || !isSum(e.SHA256)), e.Entries != "" && (!dir || !isSum(e.Entries)):
		p.fail("%s: not a hash, or not of this state", e.Path)
	case (file || dir) != (w.Mode != ""):
		p.fail("%s: a %s with mode %q", e.Path, e.State, w.Mode)
	case (e.State == events.StateSymlink) != (e.Target != ""):
		p.fail("%s: a %s with target %q", e.Path, e.State, e.Target)
	case e.SHA256 != "" && w.Size == nil:
		p.fail("%s: a hash without a size", e.Path)
	case e.Error != "" && e.State != events.StateAbsent, (e.NotEmpty || w.Empty != nil) && (!dir || !e.NotEmpty), e.Shared && !file:
		p.fail("%s: a fact that a %s does not have", e.Path, e.State)
	case len(e.Names) > 0 && (!dir || !areTypedNames(e.Names) || hashNames(e.Names) != e.Entries):
		p.fail("%s: its names are not those of its hash", e.Path)
	}
}

// number returns a number that is not negative, unset if there is none.
func (p *parser) number(n *int64) int64 {
	if n == nil {
		return unset
	}
	return max(*n, 0)
}

// mtime returns a time in nanoseconds, unset if there is none.
func (p *parser) mtime(path, s string) int64 {
	const minute, shortest = len("2006-01-02T15:04:"), len("2006-01-02T15:04:05Z")
	if s == "" {
		return unset
	}
	if len(s) >= shortest && s[:minute] == p.minute {
		if ns, ok := parseSeconds(s[minute:]); ok {
			return p.minuteNS + ns
		}
	}
	at, err := time.Parse(time.RFC3339Nano, s)
	if err != nil || !at.Equal(time.Unix(0, at.UnixNano())) {
		p.fail("%s: mtime %q", path, s)
	}
	ns := at.UnixNano()
	if len(s) >= shortest {
		if rest, ok := parseSeconds(s[minute:]); ok {
			p.minute, p.minuteNS = s[:minute], ns-rest
		}
	}
	return ns
}

// parseSeconds parses the end of a time, "05.123Z", in nanoseconds.
func parseSeconds(s string) (ns int64, ok bool) {
	digits, isUTC := strings.CutSuffix(s, "Z")
	if !isUTC || len(digits) < 2 || len(digits) > len("05.123456789") || len(digits) == len("05.") || digits[0] > '5' {
		return 0, false
	}
	scale := int64(10e9)
	for i := range len(digits) {
		switch c := digits[i]; {
		case i == 2 && c == '.':
		case i != 2 && '0' <= c && c <= '9':
			ns += int64(c-'0') * scale
			scale /= 10
		default:
			return 0, false
		}
	}
	return ns, true
}

// owner parses uid:gid.
func (p *parser) owner(path, s string) (uid, gid int64) {
	if s != p.owned {
		user, group, _ := strings.Cut(s, ":")
		u, err := strconv.ParseUint(user, 10, 32)
		g, err2 := strconv.ParseUint(group, 10, 32)
		if err != nil || err2 != nil {
			p.fail("%s: owner %q", path, s)
		}
		p.owned, p.uid, p.gid = s, int64(u), int64(g)
	}
	return p.uid, p.gid
}

// surroundings returns what a command started with, nil if the document does not say.
func (p *parser) surroundings(w *wireCommand) *Surroundings {
	if w.UID == nil || w.GID == nil || w.Environment == nil {
		return nil
	}
	s := &Surroundings{UID: *w.UID, GID: *w.GID, Stdin: events.DescriptorKind(w.Stdin)}
	var err error
	if s.Umask, err = parseMode(w.Umask); err != nil {
		p.fail("umask: %w", err)
	}
	for i := range *w.Environment {
		x := &(*w.Environment)[i]
		v := Variable{Name: jsonstring.Join(x.Name, x.NameBase64), Digest: x.Digest, Value: string(x.ValueBase64)}
		if x.Value != nil {
			v.Value = *x.Value
		}
		s.Environment = append(s.Environment, v)
	}
	return s
}

func (p *parser) external(w *wireExternal) External {
	x := External{
		Kind: ExternalKind(w.Kind), Path: jsonstring.Join(w.Path, w.PathBase64), Address: jsonstring.Join(w.Address, w.AddressBase64), Descriptor: -1,
	}
	if !slices.Contains(ExternalKinds(), x.Kind) {
		p.fail("external: unknown kind %q", w.Kind)
	}
	if w.Descriptor != nil {
		x.Descriptor = *w.Descriptor
	}
	return x
}

func areTypedNames(list []string) bool {
	return !slices.ContainsFunc(list, func(s string) bool { return !isTypedName(s) }) &&
		slices.IsSortedFunc(list, compareNames)
}

// isSum reports whether s is a SHA-256 in hexadecimal digits.
func isSum(s string) bool {
	for i := range len(s) {
		if !isHexDigit[s[i]] {
			return false
		}
	}
	return len(s) == sumDigits
}

// sumDigits is how many digits a SHA-256 has.
const sumDigits = 64

var isHexDigit = [256]bool{
	'0': true, '1': true, '2': true, '3': true, '4': true, '5': true, '6': true, '7': true, '8': true, '9': true,
	'a': true, 'b': true, 'c': true, 'd': true, 'e': true, 'f': true,
}

// forgotten returns the summaries of temporary names. One that would compare with less
// than it says is an error.
func (p *parser) forgotten(list []wireForgotten) []Forgotten {
	var all []Forgotten
	seen := make(map[string]bool, len(list))
	for i := range list {
		w := &list[i]
		t := Forgotten{Dir: p.path(jsonstring.Join(w.Dir, w.DirBase64)), Count: w.Count, Filter: w.Filter, Any: w.Any, Except: w.Except}
		n := len(t.Filter)
		switch {
		case seen[t.Dir]:
			p.fail("forgotten %q: there twice", t.Dir)
		case t.Count <= 0:
			p.fail("forgotten %q: %d names", t.Dir, t.Count)
		case n > filterBytes, n&(n-1) != 0, n > 0 && t.Any:
			p.fail("forgotten %q: a filter of %d bytes", t.Dir, n)
		case slices.ContainsFunc(t.Except, func(name string) bool { return name == "" || strings.Contains(name, "/") }):
			p.fail("forgotten %q: an exception that is no name", t.Dir)
		}
		seen[t.Dir] = true
		all = append(all, t)
	}
	return all
}

func (p *parser) processes(list []wireProcess) []Process {
	var all []Process
	for i := range list {
		w := &list[i]
		x := Process{PID: w.PID, PPID: w.PPID, From: -1, Exe: jsonstring.Join(w.Exe, w.ExeBase64), Argv: w.Argv, Cwd: jsonstring.Join(w.Cwd, w.CwdBase64), Exit: w.Exit}
		if w.From != nil {
			if x.From = *w.From; x.From < 0 || x.From >= i { // a chain must have an end
				p.fail("process %d: from %d", i, x.From)
			}
		}
		all = append(all, x)
	}
	return all
}

func (p *parser) accesses(list []wireAccess, processes int) []Access {
	var all []Access
	for i := range list {
		w := &list[i]
		a := Access{
			Path: p.path(jsonstring.Join(w.Path, w.PathBase64)), Op: p.op(w.Op), State: p.state(w.State), Process: -1,
			Syscall: w.Syscall, As: jsonstring.Join(w.As, w.AsBase64),
		}
		if w.Process != nil {
			if a.Process = *w.Process; a.Process < 0 || a.Process >= processes {
				p.fail("%s: process %d is not in the list", a.Path, a.Process)
			}
		}
		for j := range w.Links {
			l := &w.Links[j]
			a.Links = append(a.Links, events.Link{Path: p.path(jsonstring.Join(l.Path, l.PathBase64)), Target: jsonstring.Join(l.Target, l.TargetBase64)})
		}
		all = append(all, a)
	}
	return all
}
