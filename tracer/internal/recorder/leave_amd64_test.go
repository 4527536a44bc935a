package recorder

import (
	"fmt"
	"testing"

	"golang.org/x/sys/unix"
)

// detour returns what leads the program's site to the recorder: the page of landings, and
// what is to be in the gap and at the site.
func (g *guest) detour() []byte {
	page := make([]byte, pageSize)
	landing := LandingAt(g.base.Load(), 0)
	code, ok := Landing(g.base.Load(), 0, g.led.Site)
	atSite, inGap, okToo := Detour(g.led.Site, g.led.Gap, landing)
	if !ok || !okToo {
		return nil // too far away: the program waits for more, in vain
	}
	copy(page, code)
	return append(append(page, inGap...), atSite...)
}

// TestKilledAtSite is TestEachInstruction for a call at a site: SIGKILL at each
// instruction from there by way of gap and landing to the recorder, and back.
func TestKilledAtSite(t *testing.T) {
	exe := insideProgram(t)
	p, err := loadProgram()
	if err != nil {
		t.Fatal(err)
	}
	seen := make(map[progress]int)
	for n := 0; !t.Failed(); n++ {
		over := false
		onTracer(func() {
			g := start(t, exe, "site", true)
			defer g.close()
			at := g.step(t, n)
			over = g.at(t) == g.led.Site+2
			how := progressAt(p, at, seen[answered] > 0)
			seen[how]++
			g.happen(t, "kill", how, fmt.Sprintf("instruction %d at %#x", n, at))
		})
		if over {
			break
		}
	}
	for _, how := range []progress{notBegun, begun, called, answered} {
		if seen[how] == 0 {
			t.Errorf("nothing happened at progress %d: %v", how, seen)
		}
	}
	t.Logf("%v", seen)
}

// at returns where the stopped program is.
func (g *guest) at(t *testing.T) uint64 {
	t.Helper()
	var regs unix.PtraceRegs
	if err := unix.PtraceGetRegs(g.pid, &regs); err != nil {
		t.Fatal(err)
	}
	return regs.Rip
}

// leave has the stopped program leave the recorder, and reports what Leave does.
func (g *guest) leave(t *testing.T) bool {
	t.Helper()
	var user unix.PtraceRegs
	if err := unix.PtraceGetRegs(g.pid, &user); err != nil {
		t.Fatal(err)
	}
	regs := Registers{
		RAX: user.Rax, RBX: user.Rbx, RCX: user.Rcx, RDX: user.Rdx, RSI: user.Rsi, RDI: user.Rdi,
		R8: user.R8, R9: user.R9, R10: user.R10, RSP: user.Rsp, RIP: user.Rip, OrigRAX: user.Orig_rax,
	}
	was := regs
	left := Leave(g.base.Load(), []Led{g.led}, g.ring, &regs, func(addr uint64, n int) ([]byte, error) {
		b := make([]byte, n)
		_, err := unix.PtracePeekData(g.pid, uintptr(addr), b)
		return b, err
	})
	if !left && regs != was {
		t.Error("Leave has changed registers of a thread that has not left")
	}
	user.Rax, user.Rbx, user.Rcx, user.Rdx, user.Rsi, user.Rdi = regs.RAX, regs.RBX, regs.RCX, regs.RDX, regs.RSI, regs.RDI
	user.R8, user.R9, user.R10, user.Rsp, user.Rip, user.Orig_rax = regs.R8, regs.R9, regs.R10, regs.RSP, regs.RIP, regs.OrigRAX
	if err := unix.PtraceSetRegs(g.pid, &user); err != nil {
		t.Fatal(err)
	}
	return left
}

// TestLeave has a program leave the recorder at each instruction from a site to behind
// it, and gives it a signal. The handler finds it outside of the recorder's pages, it has
// the call's result and all registers in the end, and the call was recorded once, whether
// it had been given before or not. It stays only where it is not known whose slot it has,
// and where the call was given and not made yet.
func TestLeave(t *testing.T) {
	exe := insideProgram(t)
	p, err := loadProgram()
	if err != nil {
		t.Fatal(err)
	}
	for _, given := range []bool{false, true} {
		t.Run(fmt.Sprint("given ", given), func(t *testing.T) {
			left, stayed := 0, 0
			for n := 0; !t.Failed(); n++ {
				over := false
				onTracer(func() {
					g := start(t, exe, "site", true)
					defer g.close()
					at := g.step(t, n)
					over = g.at(t) == g.led.Site+2
					inside := g.at(t)-g.base.Load() < size || g.at(t) == g.led.Gap
					label := fmt.Sprintf("instruction %d at %#x", n, at)
					numbers := make(map[uint64]bool)
					note := func(list []Record) {
						for _, rec := range list {
							numbers[rec.Number] = !rec.Void
						}
					}
					if given {
						note(drained(t, g.ring, g.counter))
					}
					does := g.leave(t)
					stays := at >= p.claim && at < p.claimed || given && at >= p.begun && at < p.behind
					switch {
					case does != (inside && !stays):
						t.Errorf("%s: left: %v", label, does)
					case does:
						left++
					case inside:
						stayed++
					}
					if err := unix.PtraceCont(g.pid, int(unix.SIGUSR1)); err != nil {
						t.Fatal(err)
					}
					want := "inside 0\ndone\n"
					if inside && !does {
						want = "inside 1\ndone\n"
					}
					if out := g.end(t); out != want || g.status != 0 {
						t.Errorf("%s: status %#x\n%swant\n%s", label, g.status, out, want)
					}
					note(drained(t, g.ring, g.counter))
					recorded := 0
					for _, is := range numbers {
						if is {
							recorded++
						}
					}
					if recorded != 1 {
						t.Errorf("%s: recorded %v", label, numbers)
					}
					if g.faults > 0 {
						t.Errorf("%s: %d faults", label, g.faults)
					}
				})
				if over {
					break
				}
			}
			if left < 100 || stayed == 0 || stayed > 20 {
				t.Errorf("left %d times, stayed %d times", left, stayed)
			}
			t.Logf("left %d times, stayed %d times", left, stayed)
		})
	}
}
