// Package commandline has what the command lines of fstrace and fstrace-cache have in
// common.
package commandline

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// WantCommand returns a check of arguments that insists on "--": what follows is the
// command's, whatever it looks like. usage is what comes before "--" in messages.
func WantCommand(usage string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		switch dash := cmd.ArgsLenAtDash(); {
		case dash > 0 || dash < 0 && len(args) > 0:
			return fmt.Errorf("unexpected argument %q before \"--\": the command comes after it, as in %s -- %s", args[0], usage, args[0])
		case len(args) == 0:
			return fmt.Errorf("no command: give one after \"--\", as in %s -- cat /etc/hostname; see %s --help", usage, usage)
		}
		return nil
	}
}

// Version returns the version of the program, as far as its build knows it.
func Version() string {
	v := "unknown"
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		v = info.Main.Version
	}
	return v
}

// RealDirectory returns a directory's path without symbolic links. The error does not
// have the name.
func RealDirectory(name string) (string, error) {
	path, err := filepath.Abs(name)
	if err == nil {
		path, err = filepath.EvalSymlinks(path)
	}
	if err != nil {
		return "", Cause(err)
	}
	info, err := os.Stat(path)
	if err != nil {
		return "", Cause(err)
	}
	if !info.IsDir() {
		return "", errors.New("not a directory")
	}
	return path, nil
}

// Cause takes off what package os says of the operation and the path: messages name
// both as the user knows them.
func Cause(err error) error {
	var path *os.PathError
	if errors.As(err, &path) {
		return path.Err
	}
	return err
}
