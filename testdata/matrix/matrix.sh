#!/bin/bash
# matrix.sh runs fstrace on many kernels, each in a virtual machine that qemu emulates.
#
#   matrix.sh fetch            downloads what "quick" needs
#   matrix.sh quick            one kernel of arm64, five checks: what "make test" runs
#   matrix.sh all [PATTERN]    every kernel of the file "kernels" that matches, all checks; then "table"
#   matrix.sh table            writes docs/platforms.md from the logs of all runs
#
# Everything comes from Debian by apt-get, which has lists of its own for each release and
# architecture here: nothing is installed on this machine. It is unpacked into folders
# below CACHE: "tools" (qemu and the cross compilers, run by chroot), "root-ARCH" (what the
# machines run), "kernels", "logs".
#
# The machines have a clock that counts instructions (-icount): a timer of 100 us comes
# after as many instructions as on a real processor, however slow the emulation is, and
# sleeping costs no time.
#
# Environment: CACHE; SUITE, brief for ten checks instead of all; LIMIT, how many seconds a
# machine may take (1200; quick: 300); QEMU, before the emulator's command, for example
# "nice".
set -eu -o pipefail

here=$(dirname "$(realpath "$0")")
src=$(realpath "$here/../..")
cache=${CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/fstrace-test/matrix}
tools=$cache/tools
mkdir -p "$cache"/{kernels,logs,stamps}
exec 9>"$cache/lock"
flock -w 600 9 || { echo "$cache is in use" >&2; exit 1; }

# ---------------------------------------------------------------- packages

# apt NAME "SUITE..." ARCH COMMAND... runs apt-get or apt-cache on lists of its own.
apt() {
	local dir=$cache/apt/$1 suites=$2 arch=$3 suite
	shift 3
	mkdir -p "$dir"/{state/lists/partial,cache/archives/partial}
	: >"$dir/status"
	cat >"$dir/apt.conf" <<-C
		Dir::State "$dir/state"; Dir::State::status "$dir/status"; Dir::Cache "$dir/cache";
		Dir::Etc::sourcelist "$dir/sources.list"; Dir::Etc::sourceparts "/dev/null";
		Dir::Etc::parts "/dev/null"; Dir::Etc::preferencesparts "/dev/null"; Dir::Etc::main "/dev/null";
		APT::Architecture "$arch"; APT::Architectures { "$arch"; }; APT::Install-Recommends "false";
		APT::Sandbox::User "root"; Dir::Cache::pkgcache ""; Dir::Cache::srcpkgcache "";
		Acquire::GzipIndexes "true"; Acquire::Languages "none"; Acquire::Retries "2"; Acquire::http::Timeout "20";
	C
	for suite in $suites; do
		echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] http://deb.debian.org/debian $suite main"
	done >"$dir/sources.list"
	if [ -z "$(find "$dir/updated" -mtime -1 2>/dev/null)" ]; then
		APT_CONFIG=$dir/apt.conf apt-get -qq update >&2
		touch "$dir/updated"
	fi
	APT_CONFIG=$dir/apt.conf "$@"
}

# unpack ROOT DEB... unpacks packages without installing them.
unpack() {
	local root=$1 deb d
	shift
	mkdir -p "$root/tmp"
	for d in bin sbin lib lib64 lib32; do
		mkdir -p "$root/usr/$d"
		ln -sfn "usr/$d" "$root/$d"
	done
	for deb; do
		dpkg-deb --fsys-tarfile "$deb" | tar x -C "$root" --no-same-owner --keep-directory-symlink \
			--exclude './usr/share/doc' --exclude './usr/share/man' --exclude './usr/share/locale' --exclude './dev'
	done
}

# userland ROOT NAME SUITES ARCH PACKAGE... unpacks packages and what they depend on, once.
userland() {
	local root=$1 name=$2 suites=$3 arch=$4 stamp
	shift 4
	stamp=$cache/stamps/$(echo "$name $*" | md5sum | cut -c1-12)
	[ ! -e "$stamp" ] || return 0
	rm -f "$cache/apt/$name/cache/archives"/*.deb
	apt "$name" "$suites" "$arch" apt-get -qq -y --download-only -t "${suites##* }" install "$@" >&2
	unpack "$root" "$cache/apt/$name/cache/archives"/*.deb
	rm -f "$cache/apt/$name/cache/archives"/*.deb
	touch "$stamp"
}

# kernel ARCH SUITE PACKAGE VERSION downloads a kernel and prints its file.
kernel() {
	local arch=$1 suite=$2 package=$3 version=$4 name=$2-$1 dir found v series
	found=$cache/kernels/$package
	if [ ! -e "$found" ]; then
		dir=$(mktemp -d)
		if ! (cd "$dir" && apt "$name" "$suite" "$arch" apt-get -qq download "$package=$version") 2>/dev/null; then
			series=$(echo "$package" | grep -oE '^linux-[a-z]+-[0-9]+\.[0-9]+')
			package=$(apt "$name" "$suite" "$arch" apt-cache pkgnames "$series" | grep -- "-${package##*[0-9]-}\$" | sort -V | tail -n 1)
			echo "$3 $version cannot be downloaded any more: $package instead" >&2
			(cd "$dir" && apt "$name" "$suite" "$arch" apt-get -qq download "$package") >&2
		fi
		dpkg-deb -x "$dir"/*.deb "$dir/x"
		for v in "$dir"/x/boot/vmlinuz-* "$dir"/x/usr/lib/modules/*/vmlinuz; do
			[ ! -e "$v" ] || cp "$v" "$found"
		done
		rm -rf "$dir"
	fi
	echo "$found"
}

in_tools() { # COMMAND...: files are named as from $tools
	if [ "$(id -u)" = 0 ]; then chroot "$tools" "$@"; else unshare -r chroot "$tools" "$@"; fi
}

# ---------------------------------------------------------------- what the machines run

programs() { # ARCH: the C programs, built beforehand; gcc there hands them out
	local arch=$1 out=$tools/build/$1/gcc out32=$tools/build/$1/gcc32 f name
	rm -rf "$tools/build/$arch"
	mkdir -p "$out" "$out32"
	case $arch in
	arm64)
		cp -r "$src/testdata" "$tools/build/$arch/"
		for f in selfcheck lifecycle storm incomplete; do
			for f in "$src/testdata/$f"/*.c; do
				name=$(basename "$f" .c)
				f=/build/$arch/${f#"$src/"}
				in_tools aarch64-linux-gnu-gcc -w -O1 -pthread -o "/build/$arch/gcc/$name" "$f" || echo "arm64: no $name" >&2
				in_tools arm-linux-gnueabihf-gcc -w -O1 -pthread -static -o "/build/$arch/gcc32/$name" "$f" 2>/dev/null || :
			done
		done
		;;
	amd64)
		for f in "$src"/testdata/{selfcheck,lifecycle,storm,incomplete}/*.c; do
			name=$(basename "$f" .c)
			gcc -w -O1 -pthread -o "$out/$name" "$f" || echo "amd64: no $name" >&2
			gcc -w -O1 -pthread -m32 -static -o "$out32/$name" "$f" 2>/dev/null || :
		done
		;;
	esac
}

tests() { # ROOT ARCH: the packages' own tests, with their sources
	local root=$1 arch=$2 package
	mkdir -p "$root/src" "$root/tests"
	(cd "$src" && tar c --exclude=.git --exclude=bin --exclude=node_modules .) | tar x -C "$root/src"
	for package in seccomp ipc tracer cmd/fstrace/internal/e2e/record; do
		(cd "$src" && CGO_ENABLED=0 GOARCH=$arch go test -c -ldflags='-s -w' -o "$root/tests/$(basename "$package").test" "./$package")
	done
}

# image ARCH KIND writes the file system of a machine, quick or all.
image() {
	local arch=$1 kind=$2 root=$cache/image-$1-$2 name
	rm -rf "$root"
	cp -a "$cache/root-$arch-$kind" "$root"
	mkdir -p "$root"/{proc,sys,dev,run,root,etc,suid,guest,usr/local/bin}
	(cd "$src" && CGO_ENABLED=0 GOARCH=$arch go build -trimpath -ldflags='-s -w -E=fstrace_entry' -o "$root/usr/local/bin/" ./cmd/...)
	if [ "$kind" = all ]; then
		programs "$arch"
		cp -r "$tools/build/$arch/gcc" "$tools/build/$arch/gcc32" "$root/"
		tests "$root" "$arch"
		cp "$here"/guest/{gcc,go} "$root/usr/local/bin/"
		(cd "$src" && CGO_ENABLED=0 GOARCH=$arch go build -trimpath -ldflags=-E=fstrace_entry -o "$root/go/" ./cmd/... &&
			for name in testdata/selfcheck/*.go; do CGO_ENABLED=0 GOARCH=$arch go build -o "$root/go/$(basename "$name" .go)" "$name"; done)
	fi
	cp "$here"/guest/{init,checks,suite} "$root/guest/"
	[ -e "$root/bin/sh" ] || ln -s dash "$root/bin/sh"
	[ -e "$root/bin/awk" ] || ln -s mawk "$root/bin/awk"
	rm -f "$root"/etc/{hostname,passwd,group}
	echo guest >"$root/etc/hostname"
	printf 'root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/sh\n' >"$root/etc/passwd"
	printf 'root:x:0:\nnogroup:x:65534:\n' >"$root/etc/group"
	cp "$root/bin/cat" "$root/suid/cat"
	echo secret >"$root/suid/secret"
	chmod 4755 "$root/suid/cat"
	chmod 600 "$root/suid/secret"
	mkdir -p "$tools/build"
	(cd "$root" && find . | "$tools/usr/bin/cpio" -o -H newc -R 0:0 --quiet) >"$tools/build/$arch-$kind.cpio"
	rm -rf "$root"
}

# ---------------------------------------------------------------- machines

# boot ARCH KERNEL IMAGE WORDS... runs a machine, with its console on standard output.
boot() {
	local arch=$1 kernel=$2 image=$3 qemu console
	shift 3
	cp "$kernel" "$tools/build/kernel"
	case $arch in
	arm64) qemu=(qemu-system-aarch64 -machine virt -cpu "max,pauth-impdef=on") console=ttyAMA0 ;;
	amd64) qemu=(qemu-system-x86_64 -cpu max) console=ttyS0 ;;
	esac
	timeout "${LIMIT:-1200}" ${QEMU:-} $([ "$(id -u)" = 0 ] || echo unshare -r) chroot "$tools" "${qemu[@]}" -accel tcg \
		-icount shift=1,sleep=off -m 2048 -smp 1 -nographic -no-reboot -monitor none -serial stdio -net none \
		-kernel /build/kernel -initrd "/build/$image" -append "console=$console quiet panic=-1 rdinit=/guest/init $*" </dev/null |
		sed -u 's,\r$,,'
}

common="libc6 dash coreutils util-linux mount grep sed mawk findutils busybox-static"

# fetch ARCH KIND downloads the emulators and what a machine runs.
fetch() {
	if [ "$2" = quick ]; then
		userland "$tools" tools "bookworm bookworm-backports" amd64 cpio qemu-system-arm
	else
		userland "$tools" tools "bookworm bookworm-backports" amd64 cpio qemu-system-arm qemu-system-x86
		userland "$tools" cross bookworm amd64 gcc-aarch64-linux-gnu gcc-arm-linux-gnueabihf libc6-dev-arm64-cross libc6-dev-armhf-cross
	fi
	case $2 in
	quick) userland "$cache/root-$1-quick" "userland-$1" bookworm "$1" $common ;;
	all) userland "$cache/root-$1-all" "userland-all-$1" bookworm "$1" $common bash procps make strace less diffutils tar gzip ;;
	esac
}

quick_kernel() { kernel $(grep '^arm64 bookworm ' "$here/kernels"); }

quick() {
	fetch arm64 quick
	image arm64 quick
	LIMIT=${LIMIT:-300} boot arm64 "$(quick_kernel)" arm64-quick.cpio fst.suite=quick
}

all() { # PATTERN
	local arch suite package version ready=" " file
	grep -v "^#" "$here/kernels" | grep -E "${1:-.}" | while read -r arch suite package version; do
		case $ready in *" $arch "*) ;; *) fetch "$arch" all; image "$arch" all; ready="$ready$arch " ;; esac
		file=$(kernel "$arch" "$suite" "$package" "$version")
		boot "$arch" "$file" "$arch-all.cpio" fst.suite="${SUITE:-all}" >"$cache/logs/$arch-$package" || echo "$package: the machine ended with $?" >&2
		echo "$package: $(grep -c '^R|.*|ok|' "$cache/logs/$arch-$package") ok, $(grep -c '^R|.*|FAILED|' "$cache/logs/$arch-$package" || :) failed"
	done
}

# table prints a row for each kernel, user and ptrace_scope, a column for each check.
table() {
	local page=$src/docs/platforms.md
	sed -i '/^<!-- table -->$/,/^<!-- end of table -->$/{/^<!-- table -->$/p;/^<!-- end of table -->$/p;d}' "$page"
	cat "$cache"/logs/* | grep '^R|' | awk -F'|' -f "$here/table.awk" >"$cache/table"
	sed -i "/^<!-- table -->\$/r $cache/table" "$page"
}

case ${1:-} in
fetch) fetch arm64 quick && quick_kernel >/dev/null ;;
quick) quick ;;
all) shift; all "$@" ;;
table) table ;;
*) sed -n '2,/^set/s/^# \{0,1\}//p' "$0"; exit 2 ;;
esac
