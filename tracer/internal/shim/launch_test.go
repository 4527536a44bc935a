package shim

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// A kernel answers the calls of a program: what the stub would run, run by a test.
type kernel struct {
	t      *testing.T
	memory []byte
	calls  []string // those that were made, in order
	sent   []byte   // to the supervisor
	// answer says what a call returns; nil and 0 are success.
	answer func(name string, args [6]uint64) (result int64, ok bool)
}

// socketNumber is the stub's socket.
const socketNumber = 7

var callNames = map[uint64]string{
	syscall.SYS_FCNTL: "fcntl", syscall.SYS_RT_SIGACTION: "rt_sigaction", syscall.SYS_RT_SIGPROCMASK: "rt_sigprocmask",
	syscall.SYS_GETPPID: "getppid", syscall.SYS_GETPGID: "getpgid", syscall.SYS_SETPGID: "setpgid", syscall.SYS_UMASK: "umask",
	syscall.SYS_PRCTL: "prctl", syscall.SYS_CHDIR: "chdir", unix.SYS_SECCOMP: "seccomp", syscall.SYS_SENDMSG: "sendmsg",
	syscall.SYS_SENDTO: "sendto", syscall.SYS_READ: "read", syscall.SYS_EXECVE: "execve", syscall.SYS_EXIT_GROUP: "exit_group",
	syscall.SYS_RECVMSG: "recvmsg", unix.SYS_CLOSE_RANGE: "close_range",
}

func (k *kernel) at(address uint64) []byte {
	if address < programBase || address >= programBase+uint64(len(k.memory)) {
		k.t.Fatalf("address %#x is outside the program, which has %d bytes", address, len(k.memory))
	}
	return k.memory[address-programBase:]
}

func (k *kernel) word(address uint64) uint64 { return binary.NativeEndian.Uint64(k.at(address)) }

func (k *kernel) string(address uint64) string {
	b := k.at(address)
	return string(b[:bytes.IndexByte(b, 0)])
}

// vector reads an array of strings.
func (k *kernel) vector(address uint64) (list []string) {
	for ; k.word(address) != 0; address += 8 {
		list = append(list, k.string(k.word(address)))
	}
	return list
}

// run runs a program, as the stub does, until it exits or becomes a command.
func (k *kernel) run(message []byte) {
	k.t.Helper()
	if n := binary.NativeEndian.Uint64(message); int(n) != len(message)-8 {
		k.t.Fatalf("the size says %d, there are %d bytes", n, len(message)-8)
	}
	k.memory = message[8:]
	op := uint64(programBase)
	for range 10000 {
		w := func(n int) uint64 { return k.word(op + uint64(8*n)) }
		nr, args := w(0), [6]uint64{}
		for i := range args {
			args[i] = w(opArguments + i)
		}
		if args[0] == 1<<64-1 {
			args[0] = socketNumber
		}
		result := int64(args[0])
		if nr != 1<<64-1 {
			ended := false
			if result, ended = k.call(callNames[nr], args); ended {
				return
			}
		}
		if to := w(opResult); to != 0 {
			binary.NativeEndian.PutUint64(k.at(to), uint64(result))
		}
		next := w(opDone)
		if result < 0 && result >= -4095 {
			next = w(opFailed)
		}
		for c := w(opCases); k.word(c+8) != 0; c += 16 {
			if int64(k.word(c)) == result {
				next = k.word(c + 8)
				break
			}
		}
		op = next
	}
	k.t.Fatal("the program does not end")
}

func (k *kernel) call(name string, args [6]uint64) (result int64, ended bool) {
	line := name
	switch name {
	case "":
		k.t.Fatalf("a call that has no name here: %v", args)
	case "execve":
		line = fmt.Sprintf("execve %s %q %q", k.string(args[0]), k.vector(args[1]), k.vector(args[2]))
	case "chdir":
		line += " " + k.string(args[0])
	case "exit_group":
		k.calls = append(k.calls, fmt.Sprintf("exit %d", args[0]))
		return 0, true
	case "recvmsg":
		header := func(n int) uint64 { return k.word(args[1] + uint64(8*n)) }
		control := header(5) // struct msghdr
		line = fmt.Sprintf("recvmsg %d: %d bytes, %d of descriptors", args[0], k.word(header(2)+8), (control-16)/4)
		k.at(header(4) + control - 1) // is the program's
	case "seccomp":
		line = fmt.Sprintf("seccomp %#x %d", args[1], k.word(args[2]))
	case "close_range":
		line = fmt.Sprintf("close_range %d %#x", args[0], args[1])
	case "fcntl", "setpgid", "umask", "getpgid":
		line = fmt.Sprintf("%s %d %d", name, args[0], args[1])
	case "prctl":
		line = fmt.Sprintf("prctl %d %d", args[0], args[1])
	case "rt_sigprocmask":
		line = fmt.Sprintf("rt_sigprocmask %#x", k.word(args[1]))
	case "rt_sigaction":
		if k.word(args[1]) == SignalDefault {
			line = ""
		} else {
			line = fmt.Sprintf("ignore %d", args[0])
		}
	}
	if line != "" {
		k.calls = append(k.calls, line)
	}
	if k.answer != nil {
		if r, ok := k.answer(name, args); ok {
			result = r
		} else if name == "read" || name == "recvmsg" {
			result = 1
		}
	}
	switch name {
	case "execve":
		return result, result == 0
	case "sendto":
		if args[0] != socketNumber {
			k.t.Errorf("sendto %d, which is not the socket", args[0])
		}
		k.sent = append(k.sent, k.at(args[1])[:args[2]]...)
		result = int64(args[2])
	}
	return result, false
}

// errnos makes an answer of what the n-th call of a name fails with.
func errnos(of map[string][]syscall.Errno) func(string, [6]uint64) (int64, bool) {
	counts := make(map[string]int)
	return func(name string, args [6]uint64) (int64, bool) {
		n := counts[name]
		counts[name]++
		if list := of[name]; n < len(list) {
			return -int64(list[n]), true
		}
		return 0, false
	}
}

func runLaunch(t *testing.T, l *Launch, answer func(string, [6]uint64) (int64, bool)) *kernel {
	t.Helper()
	k := &kernel{t: t, answer: answer}
	if answer == nil {
		k.answer = errnos(nil)
	}
	k.run(l.Encode())
	return k
}

// failure is what the supervisor got, "" for nothing.
func (k *kernel) failure() string {
	if len(k.sent) < 5 || k.sent[0] != ReplyFailure {
		return string(k.sent)
	}
	f, err := DecodeFailure(k.sent[5:])
	if err != nil || int(binary.NativeEndian.Uint32(k.sent[1:])) != len(k.sent)-5 {
		k.t.Errorf("a failure %q: %v", k.sent, err)
		return ""
	}
	return fmt.Sprintf("%s: %s", f.Step, unix.ErrnoName(f.Errno))
}

func TestLaunchCalls(t *testing.T) {
	l := &Launch{
		Path: "/bin/echo", Dir: "/tmp", Argv: []string{"echo", "", "\xff"}, Env: []string{"A=b", "PATH=/x"},
		Filter: string(make([]byte, 3*instructionSize)), Umask: 0o27, Tracer: 99,
		Signals: Signals{Mask: 1 << 9, Ignored: 1<<(syscall.SIGHUP-1) | 1<<63},
	}
	usual := errnos(nil)
	k := runLaunch(t, l, func(name string, args [6]uint64) (int64, bool) {
		switch name {
		case "getppid":
			return 41, true
		case "getpgid":
			return 42, true
		case "seccomp":
			return 5, true
		}
		return usual(name, args)
	})
	want := []string{
		"fcntl 7 2", "ignore 1", "ignore 64", "getppid", "getpgid 41 0", "setpgid 0 42", "umask 23 0", "prctl 1499557217 99",
		"rt_sigprocmask 0x380200", "chdir /tmp", "seccomp 0x2c 3", "sendmsg", "read", "rt_sigprocmask 0x200",
		`execve /bin/echo ["echo" "" "\xff"] ["A=b" "PATH=/x"]`,
	}
	if !slices.Equal(k.calls, want) {
		t.Errorf("calls\n%s\nwant\n%s", strings.Join(k.calls, "\n"), strings.Join(want, "\n"))
	}
	if len(k.sent) > 0 {
		t.Errorf("sent %q", k.sent)
	}
	// What is not asked for is not done.
	k = runLaunch(t, &Launch{Path: "/bin/true", Argv: []string{"true"}, Umask: -1, Setsid: true}, nil)
	want = []string{"fcntl 7 2", "rt_sigprocmask 0x380000", "seccomp 0x2c 0", "sendmsg", "read", "rt_sigprocmask 0x0", `execve /bin/true ["true"] []`}
	if !slices.Equal(k.calls, want) {
		t.Errorf("calls %q, want %q", k.calls, want)
	}
}

// TestLaunchFiles: descriptors that are sent, rather than inherited.
func TestLaunchFiles(t *testing.T) {
	l := &Launch{Path: "/bin/true", Argv: []string{"true"}, Umask: -1, Setsid: true, Files: 3, Rest: 11}
	const received = "recvmsg 7: 1 bytes, 3 of descriptors"
	for name, test := range map[string]struct {
		errnos map[string][]syscall.Errno
		calls  []string // the first ones
		sent   string
		last   string
	}{
		"received":        {nil, []string{"fcntl 7 2", received, "fcntl 2 1", "close_range 11 0xffffffff", "rt_sigprocmask 0x380000"}, "", "execve"},
		"interrupted":     {map[string][]syscall.Errno{"recvmsg": {syscall.EINTR}}, []string{"fcntl 7 2", received, received, "fcntl 2 1"}, "", "execve"},
		"supervisor gone": {map[string][]syscall.Errno{"recvmsg": {0}}, []string{"fcntl 7 2", received, "exit 125"}, "", "exit 125"},
		"too many":        {map[string][]syscall.Errno{"fcntl": {0, syscall.EBADF}}, []string{"fcntl 7 2", received, "fcntl 2 1"}, "receive the descriptors: EMFILE", "exit 125"},
	} {
		t.Run(name, func(t *testing.T) {
			k := runLaunch(t, l, errnos(test.errnos))
			if got := k.calls[:min(len(k.calls), len(test.calls))]; !slices.Equal(got, test.calls) {
				t.Errorf("calls %q, want %q", got, test.calls)
			}
			if got := k.failure(); got != test.sent {
				t.Errorf("sent %q, want %q", got, test.sent)
			}
			if last := k.calls[len(k.calls)-1]; !strings.HasPrefix(last, test.last) {
				t.Errorf("ends with %s, want %s", last, test.last)
			}
		})
	}
}

func TestLaunchFails(t *testing.T) {
	const E = syscall.Errno(0)
	for name, test := range map[string]struct {
		errnos map[string][]syscall.Errno
		change func(*Launch)
		sent   string
		last   string

		privileges bool // no_new_privs is asked for
	}{
		"group":              {errnos: map[string][]syscall.Errno{"setpgid": {syscall.EPERM}}, sent: "join the process group: EPERM", last: "exit 125"},
		"directory":          {errnos: map[string][]syscall.Errno{"chdir": {syscall.ENOTDIR}}, sent: "change directory to /d: ENOTDIR", last: "exit 125"},
		"directory with NUL": {change: func(l *Launch) { l.Dir = "/a\x00b" }, sent: "change directory to /a\x00b: EINVAL", last: "exit 125"},
		"ptracer unknown":    {errnos: map[string][]syscall.Errno{"prctl": {syscall.EINVAL}}, last: "execve"},
		"filter":             {errnos: map[string][]syscall.Errno{"seccomp": {syscall.ENOMEM}}, sent: "install filter: ENOMEM", last: "exit 125"},
		"filter, old kernel": {errnos: map[string][]syscall.Errno{"seccomp": {syscall.EINVAL}}, last: "execve"},
		"filter, too old":    {errnos: map[string][]syscall.Errno{"seccomp": {syscall.EINVAL, syscall.EINVAL}}, sent: "install filter: EINVAL", last: "exit 125"},
		"filter, no user's":  {errnos: map[string][]syscall.Errno{"seccomp": {syscall.EACCES}}, last: "execve", privileges: true},
		"filter, no user's, old": {
			errnos: map[string][]syscall.Errno{"seccomp": {syscall.EACCES, syscall.EINVAL}}, last: "execve", privileges: true,
		},
		"filter, old, no user's": {
			errnos: map[string][]syscall.Errno{"seccomp": {syscall.EINVAL, syscall.EACCES, syscall.EINVAL}}, last: "execve", privileges: true,
		},
		"filter, nobody's": {
			errnos: map[string][]syscall.Errno{"seccomp": {syscall.EACCES, syscall.EACCES}}, sent: "install filter: EACCES", last: "exit 125", privileges: true,
		},
		"no new privileges": {
			errnos: map[string][]syscall.Errno{"seccomp": {syscall.EACCES}, "prctl": {E, syscall.EPERM}}, sent: "install filter: EPERM", last: "exit 125", privileges: true,
		},
		"nested":                 {errnos: map[string][]syscall.Errno{"seccomp": {syscall.EBUSY}}, sent: "N", last: "execve"},
		"nested, no user's":      {errnos: map[string][]syscall.Errno{"seccomp": {syscall.EACCES, syscall.EBUSY}}, sent: "N", last: "execve", privileges: true},
		"supervisor gone":        {errnos: map[string][]syscall.Errno{"sendmsg": {syscall.EPIPE}}, last: "exit 125"},
		"supervisor gone, later": {errnos: map[string][]syscall.Errno{"read": {0}}, last: "exit 125"},
		"interrupted":            {errnos: map[string][]syscall.Errno{"read": {syscall.EINTR, syscall.EINTR}}, last: "execve"},
		"argument with NUL":      {change: func(l *Launch) { l.Argv = []string{"a", "\x00"} }, sent: "exec: EINVAL", last: "exit 125"},
		"variable with NUL":      {change: func(l *Launch) { l.Env = []string{"a=\x00"} }, sent: "exec: EINVAL", last: "exit 125"},
		"path with NUL":          {change: func(l *Launch) { l.Path = "/a\x00" }, sent: "exec: EINVAL", last: "exit 125"},
	} {
		t.Run(name, func(t *testing.T) {
			l := &Launch{Path: "/bin/true", Dir: "/d", Argv: []string{"true"}, Umask: -1, Tracer: 9}
			if test.change != nil {
				test.change(l)
			}
			k := runLaunch(t, l, errnos(test.errnos))
			if got := k.failure(); got != test.sent {
				t.Errorf("sent %q, want %q", got, test.sent)
			}
			if last := k.calls[len(k.calls)-1]; !strings.HasPrefix(last, test.last) {
				t.Errorf("ends with %s, want %s", last, test.last)
			}
			if got := slices.Contains(k.calls, "prctl 38 1"); got != test.privileges {
				t.Errorf("no_new_privs: %t", got)
			}
		})
	}
}

// TestExecSearch: execvp(3).
func TestExecSearch(t *testing.T) {
	const (
		absent  = syscall.ENOENT
		noDir   = syscall.ENOTDIR
		denied  = syscall.EACCES
		script  = syscall.ENOEXEC
		tooLong = syscall.E2BIG
	)
	for name, test := range map[string]struct {
		path   string
		env    []string
		errnos []syscall.Errno
		tried  []string
		sent   string
	}{
		"absolute":            {"/bin/a", nil, nil, []string{"/bin/a x y"}, ""},
		"absolute, absent":    {"/bin/a", nil, []syscall.Errno{absent}, []string{"/bin/a x y"}, "exec: ENOENT"},
		"absolute, denied":    {"/bin/a", nil, []syscall.Errno{denied}, []string{"/bin/a x y"}, "exec: EACCES"},
		"relative":            {"./a", []string{"PATH=/b"}, nil, []string{"./a x y"}, ""},
		"script":              {"./a", nil, []syscall.Errno{script}, []string{"./a x y", "/bin/sh sh ./a y"}, ""},
		"script, no shell":    {"./a", nil, []syscall.Errno{script, absent}, []string{"./a x y", "/bin/sh sh ./a y"}, "exec: ENOENT"},
		"no name":             {"", nil, nil, nil, "exec: ENOENT"},
		"found first":         {"a", []string{"PATH=/b:/c"}, nil, []string{"/b/a x y"}, ""},
		"found last":          {"a", []string{"PATH=/b:/c:/d"}, []syscall.Errno{absent, noDir}, []string{"/b/a x y", "/c/a x y", "/d/a x y"}, ""},
		"found nowhere":       {"a", []string{"PATH=/b:/c"}, []syscall.Errno{absent, noDir}, []string{"/b/a x y", "/c/a x y"}, "exec: ENOENT"},
		"denied, then absent": {"a", []string{"PATH=/b:/c"}, []syscall.Errno{denied, absent}, []string{"/b/a x y", "/c/a x y"}, "exec: EACCES"},
		"denied, then found":  {"a", []string{"PATH=/b:/c"}, []syscall.Errno{denied}, []string{"/b/a x y", "/c/a x y"}, ""},
		"too long":            {"a", []string{"PATH=/b:/c"}, []syscall.Errno{tooLong}, []string{"/b/a x y"}, "exec: E2BIG"},
		"the first PATH":      {"a", []string{"XPATH=/z", "PATH=/b", "PATH=/c"}, nil, []string{"/b/a x y"}, ""},
		"no PATH":             {"a", []string{"HOME=/"}, []syscall.Errno{absent}, []string{"/bin/a x y", "/usr/bin/a x y"}, ""},
		"empty entries":       {"a", []string{"PATH=:/b:"}, []syscall.Errno{absent, absent}, []string{"a x y", "/b/a x y", "a x y"}, ""},
		"script in PATH": {
			"a",
			[]string{"PATH=/b:/c"},
			[]syscall.Errno{absent, script},
			[]string{"/b/a x y", "/c/a x y", "/bin/sh sh /c/a y"},
			"",
		},
		"script in PATH, no shell": {
			"a",
			[]string{"PATH=/b:/c"},
			[]syscall.Errno{script, absent},
			[]string{"/b/a x y", "/bin/sh sh /b/a y", "/c/a x y"},
			"",
		},
		"script in PATH, shell denied": {
			"a",
			[]string{"PATH=/b:/c"},
			[]syscall.Errno{script, denied, script, absent},
			[]string{"/b/a x y", "/bin/sh sh /b/a y", "/c/a x y", "/bin/sh sh /c/a y"},
			"exec: EACCES",
		},
	} {
		t.Run(name, func(t *testing.T) {
			usual := errnos(map[string][]syscall.Errno{"execve": test.errnos})
			reads := 0
			var k *kernel
			answer := func(name string, args [6]uint64) (int64, bool) {
				if name == "read" {
					if reads++; reads == 2 { // what to exit with
						k.at(args[1])[0] = 126
					}
				}
				return usual(name, args)
			}
			k = &kernel{t: t, answer: answer}
			k.run((&Launch{Path: test.path, Argv: []string{"x", "y"}, Env: test.env, Umask: -1}).Encode())
			var tried, want []string
			for _, call := range k.calls {
				if strings.HasPrefix(call, "execve") {
					tried = append(tried, call)
				}
			}
			for _, line := range test.tried {
				words := strings.Split(line, " ")
				want = append(want, fmt.Sprintf("execve %s %q %q", words[0], words[1:], test.env))
			}
			if !slices.Equal(tried, want) {
				t.Errorf("tried %q, want %q", tried, want)
			}
			if got := k.failure(); got != test.sent {
				t.Errorf("sent %q, want %q", got, test.sent)
			}
			if last := k.calls[len(k.calls)-1]; test.sent != "" && last != "exit 126" {
				t.Errorf("ends with %s, want what the supervisor says", last)
			}
		})
	}
}
