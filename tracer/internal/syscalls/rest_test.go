package syscalls

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/fstrace/fstrace/seccomp"
	"github.com/fstrace/fstrace/testdata/harness"
)

// A rest is a group of calls that are not notified, and why not.
type rest struct {
	word, why string
	calls     string
}

// The calls that the table has no row for. With them each call that a kernel up to Linux
// 6.18 has is accounted for.
var rests = []rest{
	{"descriptor", "works on descriptors. The open is recorded, or the descriptor is recorded as inherited", `
		_llseek arm_fadvise64_64 arm_sync_file_range cachestat close close_range copy_file_range dup dup2 dup3 fadvise64
		fadvise64_64 fcntl fcntl64 fdatasync flock fsync io_cancel io_destroy io_getevents io_pgetevents io_pgetevents_time64
		io_setup io_submit lseek pread64 preadv preadv2 pwrite64 pwritev pwritev2 read readahead readv sendfile sendfile64
		splice sync_file_range syncfs tee vmsplice write writev mmap mmap2 msync remap_file_pages`},
	{"metadata", "reads metadata of an open file. This is not recorded; fstat(3) of glibc makes another call, which is notified", `
		fgetxattr flistxattr fstat fstat64 fstatfs fstatfs64 oldfstat`},
	{"socket", "works on a socket and has no address argument", `
		accept accept4 getpeername getsockname getsockopt listen recv recvfrom recvmmsg recvmmsg_time64 recvmsg send setsockopt
		shutdown socket socketpair`},
	{"event", "creates or waits for event descriptors, or creates unnamed files", `
		_newselect epoll_create epoll_create1 epoll_ctl epoll_ctl_old epoll_pwait epoll_pwait2 epoll_wait epoll_wait_old eventfd
		eventfd2 fanotify_init inotify_init inotify_init1 inotify_rm_watch memfd_create memfd_secret pipe pipe2 poll ppoll
		ppoll_time64 pselect6 pselect6_time64 select signalfd signalfd4 timerfd_create timerfd_gettime timerfd_gettime64
		timerfd_settime timerfd_settime64 userfaultfd`},
	{"process", "creates, ends or waits for processes and threads. ptrace reports this", `
		clone clone3 exit exit_group fork vfork wait4 waitid waitpid`},
	{"other process", "accesses another process. A descriptor taken from it was recorded when it was opened", `
		kcmp kill pidfd_getfd pidfd_open pidfd_send_signal process_madvise process_mrelease process_vm_readv process_vm_writev
		rt_sigqueueinfo rt_tgsigqueueinfo tgkill tkill`},
	{"thread", "reads or changes the state of the thread or process: identity, limits, scheduling, signals, locks", `
		alarm arch_prctl capget capset futex futex_requeue futex_time64 futex_wait futex_waitv futex_wake get_robust_list
		get_thread_area getcpu getegid getegid32 geteuid geteuid32 getgid getgid32 getgroups getgroups32 getitimer getpgid getpgrp
		getpid getppid getpriority getresgid getresgid32 getresuid getresuid32 getrlimit getsid gettid getuid getuid32 ioperm iopl
		ioprio_get ioprio_set membarrier modify_ldt nice pause personality prlimit64 restart_syscall rseq rt_sigaction
		rt_sigpending rt_sigprocmask rt_sigreturn rt_sigsuspend rt_sigtimedwait rt_sigtimedwait_time64 sched_getaffinity
		sched_getattr sched_getparam sched_getscheduler sched_rr_get_interval sched_rr_get_interval_time64 sched_setaffinity
		sched_setattr sched_setparam sched_setscheduler sched_yield set_robust_list set_thread_area set_tid_address setfsgid
		setfsgid32 setfsuid setfsuid32 setgid setgid32 setgroups setgroups32 setitimer setpgid setpriority setregid setregid32
		setresgid setresgid32 setresuid setresuid32 setreuid setreuid32 setrlimit setsid setuid setuid32 sgetmask sigaction
		sigaltstack signal sigpending sigprocmask sigreturn sigsuspend ssetmask ugetrlimit ulimit umask uprobe uretprobe vm86
		vm86old breakpoint usr26 usr32 set_tls get_tls landlock_add_rule landlock_create_ruleset landlock_restrict_self
		lsm_get_self_attr lsm_list_modules lsm_set_self_attr`},
	{"memory", "works on memory only", `
		brk cacheflush get_mempolicy madvise map_shadow_stack mbind migrate_pages mincore mlock mlock2 mlockall move_pages
		mprotect mremap mseal munlock munlockall munmap pkey_alloc pkey_free pkey_mprotect set_mempolicy
		set_mempolicy_home_node`},
	{"time", "reads, sets or waits for the time. What a command reads from the clock is not recorded", `
		adjtimex clock_adjtime clock_adjtime64 clock_getres clock_getres_time64 clock_gettime clock_gettime64 clock_nanosleep
		clock_nanosleep_time64 clock_settime clock_settime64 getrusage gettimeofday nanosleep settimeofday stime time
		timer_create timer_delete timer_getoverrun timer_gettime timer_gettime64 timer_settime timer_settime64 times`},
	{"ipc", "works on objects that have numbers, or on descriptors of message queues", `
		add_key ipc keyctl mq_getsetattr mq_notify mq_timedreceive mq_timedreceive_time64 mq_timedsend mq_timedsend_time64
		msgctl msgget msgrcv msgsnd request_key semctl semget semop semtimedop semtimedop_time64 shmat shmctl shmdt shmget`},
	{"mount", "works on mounts by number or descriptor, or lists them", `
		fsmount fsopen listmount statmount sysfs ustat`},
	{"system", "works on the machine or describes it, and names no file", `
		delete_module finit_module getcwd getrandom init_module kexec_file_load kexec_load olduname oldolduname
		pciconfig_iobase pciconfig_read pciconfig_write reboot sched_get_priority_max sched_get_priority_min setdomainname
		sethostname sync sysinfo syslog uname vhangup`},
	{"none", "is not implemented: ENOSYS", `
		_sysctl afs_syscall arch_specific_syscall bdflush break create_module ftime get_kernel_syms getpmsg gtty idle lock
		lookup_dcookie mpx nfsservctl prof profil putpmsg query_module security stty tuxcall vserver`},
}

// restOf returns the groups by the names of their calls.
func restOf(t *testing.T) map[string]*rest {
	t.Helper()
	all := make(map[string]*rest)
	for i := range rests {
		for _, name := range strings.Fields(rests[i].calls) {
			if all[name] != nil {
				t.Errorf("%s is in two groups", name)
			}
			all[name] = &rests[i]
		}
	}
	return all
}

// numbersOf lists the numbers of an ABI that have a name, without the ABI's bit.
func numbersOf(abi *seccomp.ABI) []uint32 {
	const armPrivate = 0xf0000
	var numbers []uint32
	for nr := range uint32(1 << 10) {
		if abi.Syscall(nr|abi.Bit) != "" {
			numbers = append(numbers, nr)
		}
	}
	for nr := uint32(armPrivate); nr < armPrivate+16; nr++ {
		if abi.Syscall(nr|abi.Bit) != "" {
			numbers = append(numbers, nr)
		}
	}
	return numbers
}

// TestEveryCallIsAccountedFor: each call that an ABI has is recorded, or there is a
// reason why not; and there is a call for each reason.
func TestEveryCallIsAccountedFor(t *testing.T) {
	groups := restOf(t)
	used := map[string]bool{"uprobe": true} // Linux 6.18, which the tables do not reach
	for i := range Table {
		if g := groups[Table[i].Name]; g != nil {
			t.Errorf("%s has a row, and a reason why it has none: it %s", Table[i].Name, g.why)
		}
		used[Table[i].Name] = true
	}
	for _, goarch := range []string{"amd64", "arm64"} {
		abis, err := seccomp.ABIs(goarch)
		if err != nil {
			t.Fatal(err)
		}
		for _, abi := range abis {
			for _, nr := range numbersOf(abi) {
				name := abi.Syscall(nr | abi.Bit)
				if groups[name] == nil && !used[name] {
					t.Errorf("%s %d, %s: neither recorded nor known why not", abi.Name, nr, name)
				}
				used[name] = true
			}
		}
	}
	for name := range groups {
		if !used[name] {
			t.Errorf("no ABI has a call named %s", name)
		}
	}
}

// unistdHeaders are the kernel's lists of calls where a distribution has them, with the
// ABI that each is of.
var unistdHeaders = []struct{ goarch, abi, path string }{
	{"amd64", "x86_64", "/usr/include/x86_64-linux-gnu/asm/unistd_64.h"},
	{"amd64", "i386", "/usr/include/x86_64-linux-gnu/asm/unistd_32.h"},
	{"amd64", "x32", "/usr/include/x86_64-linux-gnu/asm/unistd_x32.h"},
	{"arm64", "aarch64", "/usr/include/asm-generic/unistd.h"},
	{"arm64", "aarch64", "/usr/include/aarch64-linux-gnu/asm/unistd_64.h"},
	{"arm64", "arm", "/usr/arm-linux-gnueabihf/include/asm/unistd-common.h"},
}

// TestKernelHeaders holds the tables against the headers of the kernel: a call that a new
// kernel has stands out here, and so does a number that has shifted.
func TestKernelHeaders(t *testing.T) {
	groups := restOf(t)
	rows := make(map[string]bool)
	for i := range Table {
		rows[Table[i].Name] = true
	}
	found := 0
	for _, h := range unistdHeaders {
		calls, err := readUnistd(h.path)
		if os.IsNotExist(err) {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		found++
		abi := abiNamed(t, h.goarch, h.abi)
		for name, nr := range calls {
			if !rows[name] && groups[name] == nil {
				t.Errorf("%s: %s (%d) is neither recorded nor known why not", filepath.Base(h.path), name, nr)
				continue
			}
			if rows[name] && !slices.Contains(abi.Numbers(name), nr|abi.Bit) {
				t.Errorf("%s: %s is %d; the filter has %v for it", filepath.Base(h.path), name, nr, abi.Numbers(name))
			}
		}
		if len(calls) < 250 {
			t.Errorf("%s: %d calls are not all", h.path, len(calls))
		}
	}
	if found == 0 {
		harness.MissingTool(t, "asm/unistd.h (linux-libc-dev)")
	}
}

func abiNamed(t *testing.T, goarch, name string) *seccomp.ABI {
	t.Helper()
	abis, err := seccomp.ABIs(goarch)
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(abis, func(abi *seccomp.ABI) bool { return abi.Name == name })
	return abis[i]
}

// readUnistd reads the numbers of a header, by the names that the tables have.
func readUnistd(path string) (map[string]uint32, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	calls := make(map[string]uint32)
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		fields := strings.Fields(strings.NewReplacer("(__X32_SYSCALL_BIT + ", "", "(__NR_SYSCALL_BASE + ", "", ")", "").Replace(lines.Text()))
		if len(fields) < 3 || fields[0] != "#define" {
			continue
		}
		name, ok := strings.CutPrefix(fields[1], "__NR_")
		generic := false
		if !ok {
			name, generic = strings.CutPrefix(fields[1], "__NR3264_")
		}
		nr, err := strconv.ParseUint(fields[2], 0, 32)
		if err != nil || !ok && !generic || name == "syscalls" {
			continue
		}
		if generic && name == "fstatat" {
			name = "newfstatat"
		}
		if strings.HasSuffix(path, "asm-generic/unistd.h") && (is32BitOnly(uint32(nr)) || name == "sync_file_range2") {
			continue // of other machines
		}
		calls[name] = uint32(nr)
	}
	return calls, lines.Err()
}

// is32BitOnly reports whether a number of the generic list is of 32-bit machines alone.
func is32BitOnly(nr uint32) bool { return nr >= 403 && nr <= 423 }

// restMarkdown writes the table of calls that are not recorded.
func restMarkdown(t *testing.T, abis []*seccomp.ABI) string {
	t.Helper()
	var b strings.Builder
	b.WriteString("\n## Not recorded\n\nThese are all other calls up to Linux 6.18. A call in neither table is newer. *why* is one of:\n\n| why | the call |\n|---|---|\n")
	for _, r := range rests {
		fmt.Fprintf(&b, "| %s | %s |\n", r.word, r.why)
	}
	b.WriteString("\n| call | why |" + abiColumns(abis) + "\n|---|---|" + strings.Repeat("--:|", len(abis)) + "\n")
	for _, r := range rests {
		for _, name := range strings.Fields(r.calls) {
			fmt.Fprintf(&b, "| %s | %s |", name, r.word)
			writeNumbers(&b, name, abis)
		}
	}
	return b.String()
}

// abiColumns returns the rest of a table's head.
func abiColumns(abis []*seccomp.ABI) string {
	var b strings.Builder
	for _, abi := range abis {
		fmt.Fprintf(&b, " %s |", abi.Name)
	}
	return b.String()
}

// writeNumbers writes the rest of a call's line.
func writeNumbers(b *strings.Builder, name string, abis []*seccomp.ABI) {
	for _, abi := range abis {
		var numbers []string
		for _, nr := range abi.Numbers(name) {
			numbers = append(numbers, fmt.Sprint(nr&^abi.Bit))
		}
		if name == "uprobe" && abi.Name == "x86_64" {
			numbers = []string{"336"}
		}
		fmt.Fprintf(b, " %s |", strings.Join(numbers, ", "))
	}
	b.WriteByte('\n')
}
