package shim

import (
	"strconv"
	"syscall"
)

// Name is what a shim is executed under, its argv[0]: for those who look at processes.
const Name = "fstrace-shim"

// A shim knows itself by its environment, which is this variable, with the number of
// its socket, and runtimeSettings, and nothing else: no other process has that by accident. Its
// arguments would have to be asked of package os, which is initialized later.
const variable = "FSTRACE_SHIM="

// runtimeSettings make the Go runtime of a helper process small: no garbage collection,
// one processor, and no signals of its own.
var runtimeSettings = [...]string{"GOGC=off", "GOMAXPROCS=1", "GODEBUG=asyncpreemptoff=1"}

// RuntimeSettings returns the environment of a helper process.
func RuntimeSettings() []string { return append([]string(nil), runtimeSettings[:]...) }

// ForkExec starts a shim. Its socket is the descriptor of that number there. It sees to
// attr.Env.
func ForkExec(socket int, attr *syscall.ProcAttr) (pid int, err error) {
	attr.Env = append(RuntimeSettings(), variable+strconv.Itoa(socket))
	return syscall.ForkExec("/proc/self/exe", []string{Name}, attr)
}

// socketOf returns the socket of a process that has a shim's environment.
func socketOf(env []string) (socket int, ok bool) {
	last := len(runtimeSettings)
	if len(env) != last+1 || [len(runtimeSettings)]string(env) != runtimeSettings {
		return 0, false
	}
	value, ok := cutPrefix(env[last], variable)
	if !ok {
		return 0, false
	}
	socket, err := strconv.Atoi(value)
	return socket, err == nil
}

// cutPrefix is strings.CutPrefix.
func cutPrefix(s, prefix string) (rest string, ok bool) {
	if len(s) < len(prefix) || s[:len(prefix)] != prefix {
		return s, false
	}
	return s[len(prefix):], true
}
