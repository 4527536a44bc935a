package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"
)

// cacheProgram is the program that "fstrace cache" executes. It is a program of its own
// because it links gRPC, which would make every start of fstrace slower.
const cacheProgram = "fstrace-cache"

func newCache() *cobra.Command {
	return &cobra.Command{
		Use:                "cache run|explain|verify|stats|gc",
		Short:              "Skip a command that would do the same, and restore what it made",
		DisableFlagParsing: true,
		RunE: func(_ *cobra.Command, args []string) error {
			path, err := findCacheProgram()
			if err != nil {
				return fmt.Errorf("cache: %w", err)
			}
			err = unix.Exec(path, append([]string{cacheProgram}, args...), os.Environ())
			return fmt.Errorf("cache: execute %s: %w", path, err)
		},
	}
}

// findCacheProgram looks beside this program, and then along PATH.
func findCacheProgram() (string, error) {
	if self, err := os.Executable(); err == nil {
		beside := filepath.Join(filepath.Dir(self), cacheProgram)
		if _, err := os.Stat(beside); !errors.Is(err, fs.ErrNotExist) {
			return beside, nil
		}
	}
	path, err := exec.LookPath(cacheProgram)
	if err != nil {
		return "", fmt.Errorf("%s is neither beside fstrace nor in PATH; make install installs it", cacheProgram)
	}
	return path, nil
}
