package oracle

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// A tracedCall is one system call as strace printed it.
type tracedCall struct {
	name string
	args []string // as printed: strings in quotes, descriptors with their paths
	ret  string   // "3</etc/hosts>", "-1 ENOENT (No such file or directory)", "?"
}

func (c *tracedCall) String() string {
	return fmt.Sprintf("%s(%s) = %s", c.name, strings.Join(c.args, ", "), c.ret)
}

// arg is the argument with the given number, counted from 1 as in manuals.
func (c *tracedCall) arg(n int) string {
	if n < 1 || n > len(c.args) {
		return ""
	}
	return c.args[n-1]
}

// failed reports whether the call had no effect, or none that strace saw.
func (c *tracedCall) failed() bool {
	return strings.HasPrefix(c.ret, "-1") || strings.HasPrefix(c.ret, "?")
}

// readThreads reads the files that strace -ff -o PREFIX left, a file a thread:
// the calls of each, in its own order. One file for all would have calls split
// in two by those of other threads.
func readThreads(prefix string) (map[int][]tracedCall, error) {
	files, err := filepath.Glob(prefix + ".*")
	if err != nil {
		return nil, err
	}
	threads := map[int][]tracedCall{}
	for _, file := range files {
		tid, err := strconv.Atoi(strings.TrimPrefix(file, prefix+"."))
		if err != nil {
			return nil, err
		}
		if threads[tid], err = readThread(file); err != nil {
			return nil, err
		}
	}
	return threads, nil
}

func readThread(file string) ([]tracedCall, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	calls := []tracedCall{}
	in := bufio.NewScanner(f)
	in.Buffer(nil, 16<<20)
	for n := 1; in.Scan(); n++ {
		line := in.Text()
		// "--- SIGCHLD {...} ---", "+++ exited with 0 +++" and, of a program
		// of another ABI, "[ Process PID=1 runs in 32 bit mode. ]" or "strace: ...".
		if line == "" || strings.HasPrefix(line, "--- ") || strings.HasPrefix(line, "+++ ") ||
			strings.HasPrefix(line, "[ ") || strings.HasPrefix(line, "strace: ") {
			continue
		}
		// A thread that was killed inside a call, one that strace may not even have
		// seen begin.
		if cut, ok := strings.CutSuffix(line, " <detached ...>"); ok {
			if line = cut + ") = ?"; strings.HasPrefix(line, "???(") {
				continue
			}
		}
		call, err := parseLine(line)
		if err != nil {
			return nil, fmt.Errorf("%s:%d: %w: %s", file, n, err, line)
		}
		calls = append(calls, call)
	}
	return calls, in.Err()
}

// parseLine reads one line: NAME(ARG, ...) = RESULT.
func parseLine(line string) (tracedCall, error) {
	name, rest, ok := strings.Cut(line, "(")
	if !ok || name == "" || strings.ContainsAny(name, " \"<") {
		return tracedCall{}, fmt.Errorf("no system call")
	}
	call := tracedCall{name: name}
	var arg strings.Builder
	depth := 0
	for i := 0; i < len(rest); {
		n := tokenLength(rest[i:], i > 0 && opensPath(rest[:i]))
		token := rest[i : i+n]
		i += n
		switch {
		case token == "":
			return call, fmt.Errorf("quote or bracket not closed")
		case token == ")" && depth == 0:
			if s := strings.TrimSpace(arg.String()); s != "" {
				call.args = append(call.args, s)
			}
			ret, ok := strings.CutPrefix(strings.TrimLeft(rest[i:], " "), "= ")
			if !ok {
				return call, fmt.Errorf("no result")
			}
			call.ret = ret
			return call, nil
		case token == "," && depth == 0:
			call.args = append(call.args, strings.TrimSpace(arg.String()))
			arg.Reset()
			continue
		case strings.Contains("([{", token):
			depth++
		case strings.Contains(")]}", token):
			depth--
		}
		arg.WriteString(token)
	}
	return call, fmt.Errorf("no closing parenthesis")
}

// tokenLength is the length of the string, comment or path that s begins with,
// 0 if it does not end, and 1 for anything else.
func tokenLength(s string, path bool) int {
	switch {
	case s[0] == '"':
		for i := 1; i < len(s); i++ {
			switch s[i] {
			case '\\':
				i++
			case '"':
				return i + 1
			}
		}
		return 0
	case strings.HasPrefix(s, "/*"):
		return strings.Index(s, "*/") + 2
	case s[0] == '<' && path && !strings.HasPrefix(s, "<<"):
		return strings.IndexByte(s, '>') + 1 // strace writes < and > in paths as \74 and \76
	}
	return 1
}

// opensPath reports whether a '<' here belongs to a descriptor: "3<", "AT_FDCWD<".
func opensPath(before string) bool {
	last := before[len(before)-1]
	return last >= '0' && last <= '9' || strings.HasSuffix(before, "AT_FDCWD")
}

// stringArg decodes a string argument. ok is false for NULL and for an
// address that strace could not read.
func stringArg(arg string) (s string, ok bool, err error) {
	if !strings.HasPrefix(arg, `"`) {
		return "", false, nil
	}
	if !strings.HasSuffix(arg, `"`) { // "..."... is one that strace cut off
		return "", false, fmt.Errorf("string not printed whole: %s", arg)
	}
	return unescape(arg[1 : len(arg)-1]), true, nil
}

// descriptorArg returns the path of a descriptor argument, and whether it has one:
// pipes, sockets and the like do not, nor do closed descriptors.
func descriptorArg(arg string) (path string, ok bool) {
	_, inside, found := strings.Cut(arg, "<")
	if !found || !strings.HasPrefix(inside, "/") || strings.HasSuffix(inside, ">(deleted)") {
		return "", false
	}
	return unescape(strings.TrimSuffix(inside, ">")), true
}

// unescape undoes C's escapes: \n and its like, and up to three octal digits.
func unescape(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' || i+1 == len(s) {
			b.WriteByte(s[i])
			continue
		}
		i++
		if at := strings.IndexByte("tnvfr", s[i]); at >= 0 {
			b.WriteByte("\t\n\v\f\r"[at])
			continue
		}
		n := i
		for n < len(s) && n < i+3 && s[n] >= '0' && s[n] <= '7' {
			n++
		}
		if n == i { // \" and \\
			b.WriteByte(s[i])
			continue
		}
		c, _ := strconv.ParseUint(s[i:n], 8, 16)
		b.WriteByte(byte(c))
		i = n - 1
	}
	return b.String()
}
