package seccomp_test

import (
	"fmt"
	"log"

	"github.com/fstrace/fstrace/seccomp"
	"golang.org/x/net/bpf"
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
