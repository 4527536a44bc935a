package programs

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"testing"

	"github.com/fstrace/fstrace/testdata/harness"
)

// workloads are the real programs: one of each kind that a tracer can trip
// over, in C, Go, JavaScript and Python, dynamic, static and 32-bit, with
// threads, pipelines, parallel children, temporary files and renames.
var workloads = []workload{
	{
		name: "cat",
		argv: func(b *bench) []string { return []string{b.tool("cat"), "/etc/hostname"} },
	},
	{
		name:  "cat_stdin",
		fill:  copyProject("c"),
		argv:  func(b *bench) []string { return []string{b.tool("cat")} },
		stdin: "input.txt",
	},
	{
		name: "shell",
		fill: func(t testing.TB, b *bench) { harness.WriteFile(t, b.dir+"/sub/words.txt", "one\ntwo\nthree\ntwo\n") },
		argv: sh(`cat sub/words.txt | tr a-z A-Z | sort -u | tee out.txt | wc -l
			(cd sub && mkdir made && cat ../out.txt words.txt >made/all.txt && mv made ../moved)
			for f in moved/*; do [ -s "$f" ] && echo "$f"; done
			cat missing/../out.txt sub/missing
			exit 3`),
	},
	{
		name:  "gcc",
		tools: []string{"gcc"},
		fill:  copyProject("c"),
		argv:  func(b *bench) []string { return []string{b.tool("gcc"), "-c", "includes.c"} },
	},
	{
		name:      "make",
		tools:     []string{"make", "gcc"},
		fill:      copyProject("make"),
		argv:      func(b *bench) []string { return []string{b.tool("make"), "-j4"} },
		unordered: true,
	},
	{
		name:      "cmake_ninja",
		tools:     []string{"cmake", "ninja", "gcc"},
		fill:      copyProject("cmake"),
		argv:      sh(`cmake -S . -B build -G Ninja && ninja -C build && build/sample`),
		env:       []string{"NINJA_STATUS="},
		unordered: true,
		rootOnly:  true,
		differs:   []string{"build/.ninja_*", "build/CMakeFiles/CMake*Log.*", "build/CMakeFiles/CMake*.log"}, // times, temporary names
	},
	{
		name:  "go_build",
		tools: []string{"go"},
		fill:  fillGo,
		argv:  func(b *bench) []string { return []string{b.tool("go"), "build", "-o", "sample", "."} },
		env: []string{
			"GOFLAGS=-mod=mod -buildvcs=false", "GOPROXY=off", "GOTOOLCHAIN=local", "GOENV=off", "CGO_ENABLED=0",
		},
		rootOnly: true,
		differs:  []string{"cache/*/*-a"}, // they hold the time
	},
	{
		name:     "npm_install",
		tools:    []string{"npm", "node"},
		fill:     fillNPM,
		argv:     sh(`cd app && npm install --offline --silent && npx --offline lib`),
		rootOnly: true,
		differs:  []string{"cache/_cacache/index-v5/**"}, // it holds the time
	},
	{
		name:  "node",
		tools: []string{"node"},
		fill:  fillNode,
		argv:  func(b *bench) []string { return []string{b.tool("node"), "main.js"} },
	},
	{
		name:  "tsc",
		tools: []string{"node", "npm"},
		fill:  fillWeb,
		argv:  func(b *bench) []string { return []string{b.base + "/node_modules/.bin/tsc", "--listFiles"} },
	},
	{
		name:  "esbuild",
		tools: []string{"node", "npm"},
		fill:  fillWeb,
		argv: func(b *bench) []string {
			return []string{b.base + "/node_modules/.bin/esbuild", "src/main.ts", "--bundle", "--outfile=out.js", "--log-level=warning"}
		},
	},
	{
		name:  "python",
		tools: []string{"python3"},
		fill:  copyProject("python"),
		argv:  func(b *bench) []string { return []string{b.tool("python3"), "main.py"} },
	},
	{
		name:    "git_status",
		tools:   []string{"git"},
		fill:    fillGit,
		argv:    sh(`git -C repo status --short && git -C repo add . && git -C repo commit -qm third && git -C repo log --format=%s`),
		env:     gitEnv,
		differs: []string{"*/.git/index"}, // it holds inode numbers and times
	},
	{
		name:    "git_clone",
		tools:   []string{"git"},
		fill:    fillGit,
		argv:    sh(`git clone --no-hardlinks -q repo copy && git -C copy log --format=%s`),
		env:     gitEnv,
		differs: []string{"*/.git/index"}, // it holds inode numbers and times
	},
	{
		name:  "tar",
		tools: []string{"tar", "gzip"},
		fill:  fillTree,
		argv:  sh(`tar -czf t.tgz tree && mkdir x && tar -xzf t.tgz -C x && tar -tzf t.tgz | wc -l`),
	},
	{
		name:  "rsync",
		tools: []string{"rsync"},
		fill:  fillTree,
		argv:  sh(`rsync -a tree/ copy && rm tree/d1/f1 && rsync -a --delete --itemize-changes tree/ copy`),
	},
	{
		name:      "find",
		tools:     []string{"find", "xargs"},
		fill:      fillTree,
		argv:      sh(`find tree -type f -name 'f*' -print0 | xargs -0 -n4 ls -l --time-style=+ && find tree -name 'f2' -delete`),
		unordered: true,
	},
	{
		name:  "busybox",
		tools: []string{"busybox"},
		fill:  fillTree,
		argv: func(b *bench) []string {
			return []string{
				b.tool("busybox"), "sh", "-c",
				`busybox find tree -type f | busybox sort | busybox cpio -o -H newc >t.cpio; busybox ls -F tree; busybox rm -r tree/d2; exit 9`,
			}
		},
		differs:   []string{"t.cpio"}, // it holds inode numbers
		unordered: true,
	},
	probe("probe_glibc", "gcc"),
	probe("probe_glibc_static", "gcc", "-static"),
	probe("probe_musl", "musl-gcc"),
	probe("probe_musl_static", "musl-gcc", "-static"),
	probe("probe_i386", "gcc", "-m32"),
	probe("probe_i386_static", "gcc", "-m32", "-static"),
}

// probe is the C program of calls that name files, built in one more way.
func probe(name, compiler string, flags ...string) workload {
	return workload{
		name:  name,
		tools: []string{compiler, "gcc"},
		fill: func(t testing.TB, b *bench) {
			if slices.Contains(flags, "-m32") && runtime.GOARCH != "amd64" {
				t.Skip("no 32-bit programs on " + runtime.GOARCH)
			}
			copyProject("c")(t, b)
			b.mustRun(t, append([]string{compiler, "-pthread", "-o", "probe", "probe.c"}, flags...)...)
		},
		argv: func(b *bench) []string { return []string{b.dir + "/probe"} },
	}
}

// fillGo gives the module a build cache that has the runtime in it already.
func fillGo(t testing.TB, b *bench) {
	copyProject("gomod")(t, b)
	b.env = append(b.env, "GOCACHE="+b.dir+"/cache", "GOPATH="+b.dir+"/gopath")
	// Counters of the go command's own, which differ from run to run.
	harness.WriteFile(t, b.dir+"/home/.config/go/telemetry/mode", "off")
	b.mustRun(t, "go", "build", "-o", "/dev/null", "runtime")
}

func fillNode(t testing.TB, b *bench) {
	copyProject("node")(t, b)
	for i := range 40 {
		harness.WriteFile(t, fmt.Sprintf("%s/generated/m%d.js", b.dir, i), fmt.Sprintf("module.exports = %d;\n", i))
	}
	harness.WriteFile(t, b.base+"/node_modules/pkg/package.json", `{"name":"pkg","main":"lib/main.js"}`)
	harness.WriteFile(t, b.base+"/node_modules/pkg/lib/main.js", "module.exports = 7;\n")
	harness.WriteFile(t, b.base+"/node_modules/pkg/data.json", `{"value":8}`)
}

// fillNPM packs the library that the application then installs: with nothing to
// fetch, npm needs no network, and has a cache of its own.
func fillNPM(t testing.TB, b *bench) {
	copyProject("npm")(t, b)
	harness.WriteFile(t, b.dir+"/home/.npmrc", "cache="+b.dir+"/cache\nfund=false\naudit=false\nupdate-notifier=false\nlogs-max=0\n")
	b.mustRun(t, "npm", "pack", "--silent", "--pack-destination", b.dir, "./lib")
}

var gitEnv = []string{
	// What counts as changed must not depend on how fast the tests are.
	"GIT_CONFIG_COUNT=2", "GIT_CONFIG_KEY_0=core.trustctime", "GIT_CONFIG_VALUE_0=false",
	"GIT_CONFIG_KEY_1=core.checkstat", "GIT_CONFIG_VALUE_1=minimal",
	"GIT_CONFIG_NOSYSTEM=1", "GIT_AUTHOR_NAME=a", "GIT_AUTHOR_EMAIL=a@example.test", "GIT_AUTHOR_DATE=2020-01-01T00:00:00Z",
	"GIT_COMMITTER_NAME=c", "GIT_COMMITTER_EMAIL=c@example.test", "GIT_COMMITTER_DATE=2020-01-01T00:00:00Z",
}

// fillGit makes a repository with two commits and an edited tree.
func fillGit(t testing.TB, b *bench) {
	repo := b.dir + "/repo"
	b.mustRun(t, "git", "init", "-q", "-b", "main", repo)
	for n, word := range []string{"first", "second"} {
		for i := range 20 {
			harness.WriteFile(t, fmt.Sprintf("%s/d%d/f%d", repo, i%4, i), fmt.Sprintln(word, i*n))
		}
		b.mustRun(t, "find", repo, "-name", "f*", "-exec", "touch", "-d", "2020-01-01", "{}", "+")
		b.mustRun(t, "git", "-C", repo, "add", ".")
		b.mustRun(t, "git", "-C", repo, "commit", "-q", "-m", word)
	}
	harness.WriteFile(t, repo+"/d0/f0", "edited\n")
	harness.WriteFile(t, repo+"/new/file", "new\n")
	if err := os.Remove(repo + "/d1/f1"); err != nil {
		t.Fatal(err)
	}
}

// fillTree makes directories, files, and links of both kinds.
func fillTree(t testing.TB, b *bench) {
	tree := filepath.Join(b.dir, "tree")
	for i := range 12 {
		harness.WriteFile(t, fmt.Sprintf("%s/d%d/f%d", tree, i%3, i), fmt.Sprintln("file", i))
	}
	for _, err := range []error{
		os.Symlink("d0/f0", tree+"/link"),
		os.Symlink("nowhere", tree+"/dangling"),
		os.Symlink("d1", tree+"/dirlink"),
		os.Link(tree+"/d0/f3", tree+"/d2/hard"),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	// Old enough that what a run changes has another time.
	b.mustRun(t, "find", tree, "-exec", "touch", "-h", "-d", "2020-01-01", "{}", "+")
}
