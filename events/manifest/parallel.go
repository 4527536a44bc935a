package manifest

import (
	"runtime"
	"sync"
	"sync/atomic"
)

// parallel calls do for each number below n, on all processors.
func parallel(n int, do func(i int)) {
	inChunks(n, func(from, to int) {
		for i := from; i < to; i++ {
			do(i)
		}
	})
}

// inChunks calls do for parts of the numbers below n, on all processors.
func inChunks(n int, do func(from, to int)) {
	const chunk = 64
	workers := min(runtime.NumCPU(), (n+chunk-1)/chunk)
	if workers <= 1 {
		do(0, n)
		return
	}
	var next atomic.Int64
	var all sync.WaitGroup
	for range workers {
		all.Go(func() {
			for {
				to := int(next.Add(chunk))
				if to-chunk >= n {
					return
				}
				do(to-chunk, min(to, n))
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
