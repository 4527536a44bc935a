# "make help" lists the targets.

GO      ?= go
OUT     ?= bin

# The entry point saves the signal dispositions that the Go runtime changes before
# main: tracer/internal/shim/entry_linux_*.s.
LDFLAGS ?= -E=fstrace_entry

# How the programs are built, here and by the tests: static, and with no path of
# the machine that built them.
BUILD := CGO_ENABLED=0 $(GO) build -trimpath -ldflags='$(LDFLAGS)'

.PHONY: help build install test deps stressdeps lint format tidy vet staticcheck unit cross stress bench matrix microbench docs clean

help: ## list the targets
	@sed -n 's/^\([a-z]*\):.*## /  make \1\t/p' $(MAKEFILE_LIST) | expand -t 20

build: ## build fstrace and fstraced into OUT (bin)
	@mkdir -p $(OUT)
	$(BUILD) -o $(OUT)/ ./cmd/...

# Where install puts files: DESTDIR is for packages, and is no part of the installed paths.
PREFIX  ?= /usr/local
DEST    := $(DESTDIR)$(PREFIX)

install: build ## install the programs, shell completions and systemd units below PREFIX (/usr/local)
	install -Dm755 -t $(DEST)/bin $(OUT)/fstrace $(OUT)/fstraced $(OUT)/fstrace-cache
	install -Dm644 -t $(DEST)/lib/systemd/user cmd/fstraced/systemd/fstraced.service cmd/fstraced/systemd/fstraced.socket
	install -Dm644 -t $(DEST)/lib/systemd/system cmd/fstraced/systemd/system/fstraced.service cmd/fstraced/systemd/system/fstraced.socket
	$(OUT)/fstrace completion bash | install -Dm644 /dev/stdin $(DEST)/share/bash-completion/completions/fstrace
	$(OUT)/fstrace completion zsh | install -Dm644 /dev/stdin $(DEST)/share/zsh/site-functions/_fstrace
	$(OUT)/fstrace completion fish | install -Dm644 /dev/stdin $(DEST)/share/fish/vendor_completions.d/fstrace.fish

test: deps lint unit cross ## everything that has to hold before a change goes in

# ./... does not find what is in testdata: a program, and a package that has tests.
BENCH  := ./testdata/bench
HIDDEN := $(BENCH) ./testdata/fixed ./testdata/harness ./testdata/matrix ./testdata/oracle

lint: format tidy vet staticcheck ## what can be said of the source without running it

format:
	@files=$$($(GO) tool gofumpt -l . $(HIDDEN)) && [ -z "$$files" ] || { echo "not formatted as gofumpt does:"; echo "$$files"; exit 1; }

# go.mod and go.sum have what the imports need, and no more.
tidy:
	@$(GO) mod tidy -diff

# The other architecture's files, tests among them, are at least to be type-checked.
vet:
	@CGO_ENABLED=0 GOARCH=amd64 $(GO) vet ./... $(HIDDEN)
	@CGO_ENABLED=0 GOARCH=arm64 $(GO) vet ./... $(HIDDEN)

staticcheck:
	@CGO_ENABLED=0 $(GO) tool staticcheck ./... $(HIDDEN)

# The race detector needs cgo; what the tests run of fstrace is built without.
unit:
	@CGO_ENABLED=1 $(GO) test -race -count=1 ./... ./testdata/oracle ./testdata/matrix

cross:
	@dir=$$(mktemp -d) && trap 'rm -rf "$$dir"' EXIT && for arch in amd64 arm64; do \
		GOOS=linux GOARCH=$$arch $(BUILD) -o "$$dir/" ./cmd/... || exit 1; \
	done

N ?= 200
stress: stressdeps ## storms of threads, stops and terminals, N rounds (200), python's own process tests, heavy programs
	FSTRACE_STRESS=$(N) $(GO) test -run 'Program|Soak|Storm|TestPythonTests|TestDelve|TestManifestManyInputs|TestModel|TestFollowModel|TestConnect|TestVerdict|TestCached|TestKilled' -count=1 -timeout=2h ./...

matrix: ## run fstrace on the kernels of testdata/matrix/kernels, emulated, and write docs/platforms.md (hours)
	testdata/matrix/matrix.sh all
	testdata/matrix/matrix.sh table

bench: ## write docs/benchmarks.md: fstrace beside bare, the floor and strace (minutes; idle machine)
	CGO_ENABLED=0 $(GO) run $(BENCH)

microbench: ## the Go benchmarks of parts
	$(GO) test -run '^$$' -bench . ./...

docs: ## write docs/syscalls.md, docs/semantics.md, seccomp/tables.go and the filter from their tables
	$(GO) test ./seccomp -run TestTables -update
	$(GO) test ./tracer/internal/syscalls -run 'TestSyscallsDoc|TestPlainFilter' -update
	$(GO) test ./events/manifest -run TestSemanticsDoc -update

clean: ## remove what build made
	rm -rf $(OUT)

# What the tests run, and the Debian package that each comes from. Where they
# may not be installed, tests that lack one are skipped (and fail if CI=true).
TOOLS := gcc=gcc make=make ar=binutils musl-gcc=musl-tools strace=strace cmake=cmake ninja=ninja-build \
	node=nodejs npm=npm python3=python3 git=git tar=tar gzip=gzip find=findutils rsync=rsync \
	busybox=busybox-static setpriv=util-linux prlimit=util-linux capsh=libcap2-bin unshare=util-linux mount=mount ps=procps bash=bash cargo=cargo \
	gdb=gdb vim=vim less=less pytest=python3-pytest mksquashfs=squashfs-tools mkfs.ext4=e2fsprogs systemd-analyze=systemd bwrap=bubblewrap \
	bindfs=bindfs fuse-overlayfs=fuse-overlayfs squashfuse=squashfuse mountpoint=util-linux sqlite3=sqlite3

# What make stress runs beside. Packages that start a service when they are installed are
# not among them: nginx-light, redis-server, postgresql, podman.
STRESS_TOOLS := chromium=chromium javac=default-jdk-headless stress-ng=stress-ng curl=curl

deps: ## install what the tests need, as root on Debian
	@command -v apt-get >/dev/null && [ "$$(id -u)" = 0 ] || exit 0; \
	missing=; \
	for tool in $(TOOLS); do command -v "$${tool%=*}" >/dev/null || missing="$$missing $${tool#*=}"; done; \
	[ -e /usr/include/stdio.h ] || missing="$$missing libc6-dev"; \
	[ "$$(uname -m)" != x86_64 ] || printf '#include <stdio.h>\n#include <asm/errno.h>\nint main;\n' | gcc -m32 -w -xc - -o /dev/null 2>/dev/null || missing="$$missing gcc-multilib"; \
	[ -z "$$missing" ] || { apt-get -qq update && \
		DEBIAN_FRONTEND=noninteractive apt-get -qq install --no-install-recommends $$missing; } >/dev/null || \
		echo "could not install$$missing: tests that need them will be skipped" >&2

stressdeps: ## install what make stress runs beside, as root on Debian
	@command -v apt-get >/dev/null && [ "$$(id -u)" = 0 ] || exit 0; \
	missing=; \
	for tool in $(STRESS_TOOLS); do command -v "$${tool%=*}" >/dev/null || missing="$$missing $${tool#*=}"; done; \
	[ -z "$$missing" ] || { apt-get -qq update && \
		DEBIAN_FRONTEND=noninteractive apt-get -qq install --no-install-recommends $$missing; } >/dev/null || \
		echo "could not install$$missing: tests that need them will be skipped" >&2
