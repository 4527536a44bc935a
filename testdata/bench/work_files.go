package main

import (
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// fillGit makes a repository of many small files, committed long ago: with nothing
// changed, git status looks each of them up and reads none.
func fillGit(l *lab, dir string) (*prepared, error) {
	git, err := find("git")
	if err != nil {
		return nil, err
	}
	const perDirectory = 20
	old := time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)
	for i := range l.scaled(15000) {
		sub := filepath.Join(dir, "src", fmt.Sprintf("lib%02d", i/perDirectory/10), fmt.Sprintf("package%03d", i/perDirectory))
		if i%perDirectory == 0 {
			if err := os.MkdirAll(sub, 0o755); err != nil {
				return nil, err
			}
		}
		name := filepath.Join(sub, fmt.Sprintf("file%02d.txt", i%perDirectory))
		if err := writeFile(name, "%d\n", i); err != nil {
			return nil, err
		}
		if err := os.Chtimes(name, old, old); err != nil {
			return nil, err
		}
	}
	for _, args := range [][]string{
		{"init", "-q"},
		{"add", "."},
		{"-c", "user.name=a", "-c", "user.email=a@example.test", "-c", "gc.auto=0", "commit", "-q", "-m", "all"},
	} {
		if err := l.do(append([]string{git, "-C", dir}, args...)...); err != nil {
			return nil, err
		}
	}
	return &prepared{command: command{argv: []string{git, "status", "--porcelain"}}}, nil
}

func fillFind(*lab, string) (*prepared, error) {
	tool, err := find("find")
	if err != nil {
		return nil, err
	}
	return &prepared{command: command{argv: []string{tool, "/usr"}}}, nil
}
