package main

import (
	"crypto/sha256"
	"encoding/hex"
	"io"
	"os"

	"github.com/fstrace/fstrace/cache"
)

// readStdin reads all of standard input into a file without a name.
func readStdin() (*os.File, cache.Digest, error) {
	f, err := os.CreateTemp("", "fstrace-stdin-*")
	if err != nil {
		return nil, cache.Digest{}, err
	}
	if err := os.Remove(f.Name()); err != nil {
		return nil, cache.Digest{}, err
	}
	sum := sha256.New()
	n, err := io.Copy(io.MultiWriter(f, sum), os.Stdin)
	if err == nil {
		_, err = f.Seek(0, io.SeekStart)
	}
	return f, cache.Digest{Hash: hex.EncodeToString(sum.Sum(nil)), Size: n}, err
}
