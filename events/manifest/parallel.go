package manifest

import (
	"runtime"
	"sync"
	"sync/atomic"
)

// parallel calls do for each number below n, on all processors.
func parallel(n int, do func(i int)) {
	const chunk = 64
	workers := min(runtime.GOMAXPROCS(0), (n+chunk-1)/chunk)
	if workers <= 1 {
		for i := range n {
			do(i)
		}
		return
	}
	var next atomic.Int64
	var all sync.WaitGroup
	for range workers {
		all.Go(func() {
			for {
				end := int(next.Add(chunk))
				if end-chunk >= n {
					return
				}
				for i := end - chunk; i < min(end, n); i++ {
					do(i)
				}
			}
		})
	}
	all.Wait()
}

// parallelFiles is parallel for work that is worth a processor each: hashing.
func parallelFiles(n int, do func(i int, buf []byte)) {
	var next atomic.Int64
	var all sync.WaitGroup
	for range min(n, hashWorkers) {
		all.Go(func() {
			buf := make([]byte, bufferSize)
			for {
				i := int(next.Add(1)) - 1
				if i >= n {
					return
				}
				do(i, buf)
			}
		})
	}
	all.Wait()
}
