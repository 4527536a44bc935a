//go:build ignore

// 64 goroutines at once, each with a file of its own, in a runtime whose
// threads come and go and interrupt each other with SIGURG.
package main

import (
	"fmt"
	"os"
	"sync"
	"syscall"
)

func main() {
	const n = 64
	home := os.Args[1]
	must(syscall.Mkdir(home, 0o755))
	must(syscall.Chdir(home))
	fmt.Println("#unordered")
	for i := range n {
		fmt.Printf("openat write absent %s/g%d as \"g%d\"\n", home, i, i)
	}

	syscall.Access("/fstrace-begin", 0)
	var all sync.WaitGroup
	together := make(chan struct{})
	for i := range n {
		all.Go(func() {
			<-together
			fd, err := syscall.Open(fmt.Sprintf("g%d", i), syscall.O_WRONLY|syscall.O_CREAT, 0o644)
			must(err)
			must(syscall.Close(fd))
		})
	}
	close(together)
	all.Wait()
	syscall.Access("/fstrace-end", 0)
}

func must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
