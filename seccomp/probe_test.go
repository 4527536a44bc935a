package seccomp

import (
	"errors"
	"os"
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestFeatures tries each out. What this kernel lacks is no failure of ours, but it
// must say so with the kernel's own answer.
func TestFeatures(t *testing.T) {
	features := Features()
	if len(features) == 0 {
		t.Fatal("no features")
	}
	names := make(map[string]bool)
	for _, f := range features {
		t.Run(f.Name, func(t *testing.T) {
			if f.Since == "" || f.Without == "" || names[f.Name] {
				t.Errorf("%+v", f)
			}
			names[f.Name] = true
			err := f.Probe()
			if again := f.Probe(); (again == nil) != (err == nil) {
				t.Errorf("%v, and asked again %v", err, again)
			}
			if err == nil {
				return
			}
			var errno unix.Errno
			if !errors.As(err, &errno) {
				t.Fatalf("%v: not the kernel's answer", err)
			}
			t.Skipf("Linux %s has it; here: %v", f.Since, err)
		})
	}
}

// TestFlagKnown: flags that the kernel has, and a flag that it does not have.
func TestFlagKnown(t *testing.T) {
	if err := flagKnown(flagNewListener); err != nil {
		t.Skip("SECCOMP_FILTER_FLAG_NEW_LISTENER: ", err)
	}
	const never = 1 << 30
	if err := flagKnown(flagNewListener | never); err != unix.EINVAL {
		t.Errorf("a flag that does not exist: %v, want EINVAL", err)
	}
	if err := errnoErr(actionAvailable(0x12340000)); err == nil {
		t.Error("an action that does not exist is available")
	}
}

// TestProbeLeavesNothing: probing leaves neither a descriptor nor a thread.
func TestProbeLeavesNothing(t *testing.T) {
	count := func(dir string) int {
		entries, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		return len(entries)
	}
	probe := func() {
		for _, f := range Features() {
			_ = f.Probe()
		}
	}
	probe()
	fds, threads := count("/proc/self/fd"), count("/proc/self/task")
	for range 30 {
		probe()
	}
	const idle = 4 // threads that the runtime keeps for later
	for deadline := time.Now().Add(20 * time.Second); ; runtime.Gosched() {
		if count("/proc/self/fd") <= fds && count("/proc/self/task") <= threads+idle {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d descriptors, before %d; %d threads, before %d", count("/proc/self/fd"), fds, count("/proc/self/task"), threads)
		}
	}
}
