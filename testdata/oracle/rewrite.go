package oracle

import "regexp"

// rewrites give one name to what programs call something else in each run.
// Nothing else may differ between two runs of a deterministic command; each
// line says which program it is for.
var rewrites = []struct {
	pattern *regexp.Regexp
	name    string
}{
	// Process and thread numbers in /proc.
	{regexp.MustCompile(`^/proc/(self|\d+)\b`), procPID},
	{regexp.MustCompile(`^(/proc/PID/task)/\d+\b`), "$1/TID"},
	{regexp.MustCompile(`^/proc/thread-self\b`), procPID + "/task/TID"},
	// gcc: its stages' files in TMPDIR.
	{regexp.MustCompile(`/cc[0-9A-Za-z]{6}(\.[\w.]+)?$`), "/ccTEMP$1"},
	// cmake: the projects of its checks, and its own files while they are written.
	{regexp.MustCompile(`/TryCompile-\w{6}\b`), "/TryCompile-TEMP"},
	{regexp.MustCompile(`cmTC_[0-9a-f]{5}`), "cmTC_TEMP"},
	{regexp.MustCompile(`(/build/.*)\.tmp[0-9a-f]{5}$`), "$1.tmpTEMP"},
	// go: where it builds.
	{regexp.MustCompile(`/go-build\d+\b`), "/go-buildTEMP"},
	// npm: where its cache unpacks and downloads.
	{regexp.MustCompile(`(/_cacache/tmp)/[^/]+`), "$1/TEMP"},
	// python: compiled modules while they are written.
	{regexp.MustCompile(`(\.pyc)\.\d+$`), "$1.TEMP"},
	// git: objects and packs while they are written.
	{regexp.MustCompile(`/tmp_(obj|pack|idx|rev)_\w{6}$`), "/tmp_${1}_TEMP"},
	// git: its trial of symbolic links in a new repository.
	{regexp.MustCompile(`/\.git/t\w{6}$`), "/.git/tTEMP"},
	// redis: the database while it is written.
	{regexp.MustCompile(`/temp-\d+\.rdb$`), "/temp-PID.rdb"},
	// java: what debuggers would leave for it.
	{regexp.MustCompile(`/\.java_pid\d+$`), "/.java_pidPID"},
	// rsync: files while they are written.
	{regexp.MustCompile(`/(\.[^/]+)\.[0-9A-Za-z]{6}$`), "/$1.TEMP"},
	// ar and strip: the archive that replaces another one.
	{regexp.MustCompile(`/st[0-9A-Za-z]{6}$`), "/stTEMP"},
}

// Rewrite applies all of them to a path.
func Rewrite(path string) string {
	for _, r := range rewrites {
		path = r.pattern.ReplaceAllString(path, r.name)
	}
	return path
}

// sometimes are accesses that a program makes in some of its runs only, by its own doing.
var sometimes = []struct {
	op      string
	pattern *regexp.Regexp
}{
	// node: V8 maps its code from its own file once more, if it has come to lie far from
	// a free range of addresses. That is chance: of 400 runs that nobody traced one did
	// not.
	{"read", regexp.MustCompile(`/bin/node(js)?$`)},
}

// isChance reports whether an access is one of them.
func isChance(op, path string) bool {
	for _, s := range sometimes {
		if s.op == op && s.pattern.MatchString(path) {
			return true
		}
	}
	return false
}
