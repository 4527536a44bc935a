package seccomp_test

import (
	"errors"
	"fmt"
	"log"
	"runtime"

	"github.com/fstrace/fstrace/seccomp"
	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// A filter that notifies openat(2) and lets every other call pass, in the ABIs of an
// amd64 kernel: x86-64, i386 and x32.
func ExampleProgram() {
	abis, err := seccomp.ABIs("amd64")
	if err != nil {
		log.Fatal(err)
	}
	program, err := seccomp.Program(abis, []seccomp.Rule{{Syscall: "openat"}})
	if err != nil {
		log.Fatal(err)
	}
	// It begins with the architecture, which is at offset 4 of struct seccomp_data.
	load, ok := program[0].Disassemble().(bpf.LoadAbsolute)
	fmt.Println(ok, load)
	// Output: true ld [4]
}

// A thread whose calls of getpriority(2) are notified, and a receiver that answers them.
func ExampleListener() {
	abis, err := seccomp.ABIs(runtime.GOARCH)
	if err != nil {
		log.Fatal(err)
	}
	program, err := seccomp.Program(abis, []seccomp.Rule{{Syscall: "getpriority"}})
	if err != nil {
		log.Fatal(err)
	}
	installed := make(chan int)
	go func() {
		runtime.LockOSThread() // and never unlocks: the thread ends with the goroutine
		if err := seccomp.SetNoNewPrivs(); err != nil {
			log.Fatal(err)
		}
		fd, err := seccomp.Install(program)
		if err != nil {
			log.Fatal(err)
		}
		installed <- fd
		_, _ = unix.Getpriority(unix.PRIO_PROCESS, 0)
	}()
	listener, err := seccomp.NewListener(<-installed)
	if err != nil {
		log.Fatal(err)
	}
	defer listener.Close()
	var n seccomp.Notification
	for {
		if err := listener.Receive(&n); errors.Is(err, seccomp.ErrHangup) {
			fmt.Println(err)
			return
		} else if err != nil {
			log.Fatal(err)
		}
		fmt.Println("argument", n.Data.Args[0])
		if err := listener.Continue(n.ID); err != nil && !errors.Is(err, seccomp.ErrGone) {
			log.Fatal(err)
		}
	}
	// Output:
	// argument 0
	// no process has the filter any more
}
