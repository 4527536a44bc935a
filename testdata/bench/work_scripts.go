package main

import (
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// Fifty modules of Python's standard library that any installation has.
const pythonModules = "abc argparse array ast asyncio base64 bisect calendar codecs collections configparser contextlib " +
	"copy csv dataclasses datetime decimal difflib email enum fractions functools getpass glob hashlib heapq html " +
	"http.client inspect io itertools json logging mimetypes multiprocessing operator pathlib pickle pprint queue " +
	"random re shutil socket statistics string subprocess tempfile threading unittest"

func fillPython(l *lab, _ string) (*prepared, error) {
	python, err := find("python3")
	if err != nil {
		return nil, err
	}
	// What is called python3 may be a script that looks for one.
	real, _, err := l.run(command{argv: []string{python, "-c", "import sys; print(sys.executable)"}})
	if err != nil {
		return nil, errMissing{err}
	}
	modules := strings.ReplaceAll(pythonModules, " ", ", ")
	return &prepared{command: command{argv: []string{strings.TrimSpace(real), "-I", "-c", "import " + modules}}}, nil
}

func fillTSC(l *lab, dir string) (*prepared, error) {
	modules, err := l.webModules()
	if err != nil {
		return nil, errMissing{err}
	}
	return &prepared{command: command{argv: []string{filepath.Join(modules, "node_modules", ".bin", "tsc")}}}, l.project("web", dir)
}

// webModules returns a directory with what the web project's lock file names,
// installed. It is kept in the user's cache, where the tests look for it too, under a
// name made from the lock file, so that the registry is asked once.
func (l *lab) webModules() (string, error) {
	npm, err := find("npm")
	if err != nil {
		return "", err
	}
	project := filepath.Join(l.root, "testdata", "projects", "web")
	lock, err := os.ReadFile(filepath.Join(project, "package-lock.json"))
	if err != nil {
		return "", err
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	kept := filepath.Join(cache, "fstrace-test", fmt.Sprintf("web-%.8x", sha256.Sum256(lock)))
	if _, err := os.Stat(filepath.Join(kept, "node_modules")); err == nil {
		return kept, nil
	}
	if err := os.MkdirAll(filepath.Dir(kept), 0o755); err != nil {
		return "", err
	}
	tmp, err := os.MkdirTemp(filepath.Dir(kept), "install-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(tmp)
	for _, name := range []string{"package.json", "package-lock.json", ".npmrc"} {
		content, err := os.ReadFile(filepath.Join(project, name))
		if err != nil {
			return "", err
		}
		if err := os.WriteFile(filepath.Join(tmp, name), content, 0o644); err != nil {
			return "", err
		}
	}
	install := command{argv: []string{npm, "ci", "--ignore-scripts", "--silent"}, dir: tmp}
	if _, _, err := l.run(install); err != nil {
		return "", err
	}
	if err := os.Rename(tmp, kept); err != nil && !os.IsExist(err) { // somebody else was first
		return "", err
	}
	return kept, nil
}

// fillNPM packs a library for an application to install: with nothing to fetch, npm
// needs no network.
func fillNPM(l *lab, dir string) (*prepared, error) {
	npm, err := find("npm")
	if err != nil {
		return nil, err
	}
	if err := l.project("npm", dir); err != nil {
		return nil, err
	}
	app := filepath.Join(dir, "app")
	settings := "cache=" + filepath.Join(dir, "cache") + "\nfund=false\naudit=false\nupdate-notifier=false\nlogs-max=0\n"
	if err := writeFile(filepath.Join(dir, ".npmrc"), "%s", settings); err != nil {
		return nil, err
	}
	env := []string{"HOME=" + dir}
	pack := command{argv: []string{npm, "pack", "--silent", "--pack-destination", dir, "./lib"}, dir: dir, env: env}
	if _, _, err := l.run(pack); err != nil {
		return nil, err
	}
	return &prepared{
		command: command{argv: []string{npm, "install", "--offline", "--silent"}, dir: app, env: env},
		remove: []string{
			filepath.Join(app, "node_modules"), filepath.Join(app, "package-lock.json"), filepath.Join(app, "checked"),
		},
	}, nil
}
