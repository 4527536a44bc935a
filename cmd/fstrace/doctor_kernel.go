package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"

	"github.com/fstrace/fstrace/seccomp"
	"github.com/fstrace/fstrace/tracer"
	"golang.org/x/sys/unix"
)

// findKernel reports the version of the kernel. What the kernel can do is tried out:
// distributions bring features to older ones, and sandboxes take them away.
func findKernel() finding {
	var u unix.Utsname
	f := finding{Name: "kernel", State: weightOK, Found: "Linux, " + runtime.GOARCH}
	if unix.Uname(&u) == nil {
		f.Found = unix.ByteSliceToString(u.Sysname[:]) + " " + unix.ByteSliceToString(u.Release[:]) + ", " + unix.ByteSliceToString(u.Machine[:])
	}
	if _, err := seccomp.ABIs(runtime.GOARCH); err != nil {
		f.State, f.Effect = weightMissing, "fstrace does not know this architecture's calls"
	}
	return f
}

// findProc reports whether /proc shows this process and its children.
func findProc() finding {
	f := finding{Name: "/proc", State: weightOK, Found: "of this pid namespace"}
	if err := tracer.CheckProc(); err != nil {
		f.State, f.Found, f.Effect = weightMissing, err.Error(), "fstrace reads there what processes look up, and nothing can be traced"
	}
	return f
}

// findMemfd tries the memory that fstrace shares with its helpers: memfd_create(2).
func findMemfd() finding {
	f := finding{Name: "memfd_create", State: weightOK, Found: "memory can be shared with helpers"}
	fd, err := unix.MemfdCreate("fstrace-doctor", unix.MFD_CLOEXEC)
	if err != nil {
		f.State, f.Found, f.Effect = weightMissing, err.Error(), "fstrace cannot share memory with its helpers, and nothing can be traced"
		return f
	}
	_ = unix.Close(fd)
	return f
}

// findSeccomp tries user-notify. Below another listener there can be none, and what is
// tried on one is not known.
func findSeccomp() []finding {
	var list []finding
	for _, feature := range seccomp.Features() {
		f := finding{Name: feature.Name, State: weightOK, Found: "since Linux " + feature.Since}
		switch err := feature.Probe(); {
		case err == nil:
		case errors.Is(err, seccomp.ErrNested) && feature.Name == "SECCOMP_FILTER_FLAG_NEW_LISTENER":
			if tracer.CheckNested() == nil {
				f.State, f.Found = weightNote, "this fstrace runs inside a session of another one, which serves it"
				f.Effect = "records are the same as elsewhere"
				break
			}
			f.State, f.Found = weightGap, "another fstrace or a container runtime has installed a listener"
			f.Effect = "records have processes only (reason nested); the outer listener gets the file accesses"
		case errors.Is(err, seccomp.ErrNested):
			f.State, f.Found = weightNote, "cannot be tested below another listener"
		default:
			f.State, f.Found, f.Effect = seccompWeight(feature.Name), fmt.Sprintf("%v (requires Linux %s)", err, feature.Since), feature.Without
		}
		list = append(list, f)
	}
	return list
}

func seccompWeight(feature string) weight {
	switch feature {
	case "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV":
		return weightGap
	case "SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP":
		return weightNote // slow is not wrong
	}
	return weightMissing
}

// findTracing tries on a child what fstrace does to a command: following it by ptrace,
// reading its memory, holding it by a pidfd. The child is this program, waiting for
// its standard input to end.
func findTracing() []finding {
	runtime.LockOSThread() // who has a tracee is a thread
	defer runtime.UnlockOSThread()
	child := exec.Command("/proc/self/exe", "check", "-")
	hold, err := child.StdinPipe()
	if err == nil {
		err = child.Start()
	}
	if err != nil {
		return []finding{{Name: "helper", State: weightMissing, Found: err.Error(), Effect: "fstrace starts itself as a helper, by /proc/self/exe, and nothing can be traced"}}
	}
	defer func() {
		hold.Close()
		_ = child.Process.Kill()
		_ = child.Wait() // it was killed
	}()
	pid := child.Process.Pid
	return []finding{findMemory(pid), findPtrace(pid), findPidfd(pid)}
}

// findMemory reads from where the child's first mapping begins.
func findMemory(pid int) finding {
	f := finding{Name: "process_vm_readv", State: weightOK, Found: "reads the memory of a child"}
	dir := "/proc/" + strconv.Itoa(pid)
	maps, err := os.ReadFile(dir + "/maps")
	var at uint64
	if err == nil {
		first, _, _ := strings.Cut(string(maps), "-")
		at, err = strconv.ParseUint(first, 16, 64)
	}
	var b [4]byte
	if err == nil {
		local, remote := []unix.Iovec{{Base: &b[0]}}, []unix.RemoteIovec{{Base: uintptr(at), Len: len(b)}}
		local[0].SetLen(len(b))
		if _, err = unix.ProcessVMReadv(pid, local, remote, 0); err == nil {
			return f
		}
	}
	f.Found = err.Error()
	mem, openErr := os.Open(dir + "/mem")
	if openErr == nil {
		defer mem.Close()
		_, openErr = mem.ReadAt(b[:], int64(at))
	}
	if openErr == nil {
		f.State, f.Effect = weightNote, "fstrace reads /proc/PID/mem instead, which is slower"
		return f
	}
	f.State, f.Effect = weightMissing, "fstrace cannot read paths, not even through /proc/PID/mem"+yama()
	return f
}

func findPtrace(pid int) finding {
	f := finding{Name: "ptrace", State: weightOK, Found: strings.TrimPrefix(yama(), ", ")}
	if f.Found == "" {
		f.Found = "follows a child"
	}
	if err := unix.PtraceSeize(pid); err != nil {
		f.State, f.Found = weightGap, err.Error()
		f.Effect = "ptrace cannot follow processes" + yama() + tracerAbove() + "; --lifecycle notify works without it"
	}
	return f
}

// yama describes to what Yama restricts ptrace: Documentation/admin-guide/LSM/Yama.rst.
func yama() string {
	data, err := os.ReadFile("/proc/sys/kernel/yama/ptrace_scope")
	if err != nil {
		return ""
	}
	scope := string(bytes.TrimSpace(data))
	means := map[string]string{
		"0": "any process of one's own", "1": "one's own descendants", "2": "only with CAP_SYS_PTRACE", "3": "nobody",
	}[scope]
	return fmt.Sprintf(", Yama's ptrace_scope is %s (%s)", scope, means)
}

// tracerAbove describes the tracer of this process, which probably traces its children
// too.
func tracerAbove() string {
	if tracer := statusField("TracerPid"); tracer != "" && tracer != "0" {
		return ", process " + tracer + " traces this one and its children"
	}
	return ""
}

// statusField reads a field of this process's status: proc(5).
func statusField(name string) string {
	data, err := os.ReadFile("/proc/thread-self/status")
	if err != nil {
		return ""
	}
	for line := range strings.Lines(string(data)) {
		if value, ok := strings.CutPrefix(line, name+":"); ok {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// findPidfd tries pidfds, and what they report of the end of a process.
func findPidfd(pid int) finding {
	f := finding{Name: "pidfd", State: weightOK, Found: "with PIDFD_GET_INFO"}
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		f.State, f.Found = weightNote, fmt.Sprintf("pidfd_open: %v (Linux 5.3 and later have it)", err)
		f.Effect = "the end of a process that ptrace does not follow can stay unknown"
		return f
	}
	defer unix.Close(fd)
	info := unix.PidfdInfo{Mask: unix.PIDFD_INFO_EXIT}
	if err := unix.IoctlPidfdInfo(fd, &info); err != nil {
		f.State, f.Found = weightNote, fmt.Sprintf("PIDFD_GET_INFO: %v (exit statuses require Linux 6.15)", err)
		f.Effect = "the exit status of a process that ptrace does not follow may be unknown"
	}
	return f
}
