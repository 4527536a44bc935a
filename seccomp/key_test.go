package seccomp

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"

	"golang.org/x/net/bpf"
)

// keyedRules has rules with a key between others.
func keyedRules(key *Key) []Rule {
	return []Rule{
		{Syscall: "open"},
		{Syscall: "stat", Key: key},
		{Syscall: "lstat", Key: key},
		{Syscall: "access", Key: key},
		{Syscall: "mkdir"},
		{Syscall: "readlink", Key: key},
		{Syscall: "prctl", Where: &Argument{Index: 0, Values: []uint32{22}}},
		{Syscall: "newfstatat", Key: key},
		{Syscall: "statx", Key: key},
		{Syscall: "openat"},
		{Syscall: "stat64", Key: key},
	}
}

func programOf(t *testing.T, goarch string, rules []Rule) ([]bpf.RawInstruction, *bpf.VM) {
	t.Helper()
	abis, err := ABIs(goarch)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := Program(abis, rules)
	if err != nil {
		t.Fatal(err)
	}
	list, ok := bpf.Disassemble(raw)
	if !ok {
		t.Fatal("the filter has instructions that do not disassemble")
	}
	vm, err := bpf.NewVM(list)
	if err != nil {
		t.Fatal(err)
	}
	return raw, vm
}

// keyedData lays out struct seccomp_data for the test's machine: words in network byte
// order, of each 64 bits the low word first.
func keyedData(arch, nr uint32, ip, sixth uint64) []byte {
	b := make([]byte, 64)
	for i, w := range []uint32{nr, arch, uint32(ip), uint32(ip >> 32)} {
		binary.BigEndian.PutUint32(b[4*i:], w)
	}
	binary.BigEndian.PutUint32(b[56:], uint32(sixth))
	binary.BigEndian.PutUint32(b[60:], uint32(sixth>>32))
	return b
}

// TestKeyDecides runs the filter on each number of each ABI, with the key, without it and
// with each bit of it wrong.
func TestKeyDecides(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for _, goarch := range []string{"amd64", "arm64"} {
		for range 20 {
			key := Key(random.Uint64())
			rules := keyedRules(&key)
			_, vm := programOf(t, goarch, rules)
			_, plain := programOf(t, goarch, keyedRules(nil))
			keyed := make(map[string]bool)
			for _, r := range rules {
				keyed[r.Syscall] = r.Key != nil
			}
			abis, err := ABIs(goarch)
			if err != nil {
				t.Fatal(err)
			}
			run := func(vm *bpf.VM, data []byte) int {
				got, err := vm.Run(data)
				if err != nil {
					t.Fatal(err)
				}
				return got
			}
			ip := random.Uint64()
			for _, abi := range abis {
				for nr := range uint32(600) {
					nr |= abi.Bit
					without := run(plain, keyedData(abi.Audit, nr, ip, key.At(ip)))
					want := without
					if keyed[abi.Syscall(nr)] && abi.Name == "x86_64" {
						want = int(retAllow)
					}
					if got := run(vm, keyedData(abi.Audit, nr, ip, key.At(ip))); got != want {
						t.Fatalf("%s %s with the key: %#x, want %#x", abi.Name, abi.Syscall(nr), got, want)
					}
					if got := run(vm, keyedData(abi.Audit, nr, ip, key.At(ip)^1<<random.IntN(64))); got != without {
						t.Fatalf("%s %s with a wrong key: %#x, want %#x", abi.Name, abi.Syscall(nr), got, without)
					}
				}
			}
		}
	}
}

// TestNoKeyCostsNothing: rules without a key give the same filter as before there were
// keys, and one key adds one check, whatever the number of its rules.
func TestNoKeyCostsNothing(t *testing.T) {
	plain, _ := programOf(t, "amd64", keyedRules(nil))
	for _, in := range plain {
		if in.Op == 0x20 && (in.K == offPointer || in.K >= offSixth) {
			t.Errorf("a filter without a key loads word %d", in.K)
		}
	}
	key := Key(1)
	count := 0
	withKey, _ := programOf(t, "amd64", keyedRules(&key))
	for _, in := range withKey {
		if in.Op == 0x20 && in.K == offPointer {
			count++
		}
	}
	if count != 1 {
		t.Errorf("the key is checked in %d places, want 1", count)
	}
}

func TestKeyRules(t *testing.T) {
	a, b := Key(1), Key(2)
	abis, err := ABIs("amd64")
	if err != nil {
		t.Fatal(err)
	}
	for _, rules := range [][]Rule{
		{{Syscall: "stat", Key: &a}, {Syscall: "lstat", Key: &b}},
		{{Syscall: "stat", Key: &a, Where: &Argument{}}},
	} {
		if _, err := Program(abis, rules); err == nil {
			t.Errorf("%+v: no error", rules)
		}
	}
	// A number that has a rule without a key is always notified.
	_, vm := programOf(t, "amd64", []Rule{{Syscall: "stat", Key: &a}, {Syscall: "stat"}})
	if got, err := vm.Run(keyedData(abis[0].Audit, 4, 77, a.At(77))); err != nil || got != int(retNotify) {
		t.Errorf("stat, with a rule that has a key and one that has none: %#x %v", got, err)
	}
}

// TestKeyInKernel has a program call with and without the key: from signal handlers that
// find it in r9, by int 0x80 and by x32's numbers.
func TestKeyInKernel(t *testing.T) {
	if runtime.GOARCH != "amd64" {
		t.Skip("keys are for x86-64")
	}
	gcc, err := exec.LookPath("gcc")
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	exe := filepath.Join(t.TempDir(), "keyed")
	build := exec.Command(gcc, "-O1", "-Wall", "-Wextra", "-o", exe, "testdata/keyed.c")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	key := Key(rand.Uint64())
	raw, _ := programOf(t, "amd64", keyedRules(&key))
	const fail = 0x00050000 + 99 // SECCOMP_RET_ERRNO
	var filter []byte
	for _, in := range raw {
		if in.Op == 6 && in.K == uint32(retNotify) {
			in.K = fail
		}
		filter = binary.NativeEndian.AppendUint16(filter, in.Op)
		filter = append(filter, in.Jt, in.Jf)
		filter = binary.NativeEndian.AppendUint32(filter, in.K)
	}
	program := exec.Command(exe, fmt.Sprintf("%x", uint64(key)))
	program.Stdin = bytes.NewReader(filter)
	out, err := program.CombinedOutput()
	if err != nil || string(out) != "done\n" {
		t.Errorf("%v\n%s", err, out)
	}
}
