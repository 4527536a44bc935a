//go:build ignore

// Go starts a process with CLONE_VFORK and CLONE_VM, from whichever thread it
// happens to be on.
package main

import (
	"fmt"
	"os"
	"syscall"
)

func main() {
	home, exe := os.Args[1], os.Args[0]
	if len(os.Args) > 2 {
		syscall.Access("/fstrace-begin", 0)
		syscall.Access("f", 0)
		os.Exit(5)
	}
	must(syscall.Mkdir(home, 0o755))
	must(syscall.Chdir(home))
	fmt.Println("#processes")

	syscall.Access("/fstrace-begin", 0)
	for range 3 {
		pid, err := syscall.ForkExec(exe, []string{exe, home, "child"}, &syscall.ProcAttr{
			Env: []string{}, Files: []uintptr{0, 1, 2},
		})
		must(err)
		var status syscall.WaitStatus
		_, err = syscall.Wait4(pid, &status, 0, nil)
		must(err)
		fmt.Printf("%d: start parent=%d\n", pid, os.Getpid())
		fmt.Printf("%d: execve exec file %s\n", pid, exe)
		fmt.Printf("%d: exec %s\n", pid, exe)
		fmt.Printf("%d: faccessat stat absent %s/f as \"f\"\n", pid, home)
		fmt.Printf("%d: exit %d\n", pid, status.ExitStatus())
	}
	syscall.Access("/fstrace-end", 0)
}

func must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
