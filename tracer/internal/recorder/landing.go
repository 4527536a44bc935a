package recorder

// A site is a syscall instruction of some module that is led to the recorder. Only its
// two bytes change, to a short jump; so whatever jumps to it, or behind it, finds what it
// expects. The short jump goes to five bytes that nothing executes (sites.go), and that
// jump to the site's landing, near enough in the process's memory:
//
//	site:    jmp  gap           instead of syscall
//	gap:     jmp  landing
//	landing: lea  rcx, [call]   where to go on, as the recorder's entry wants it
//	         lea  r11, [entry]
//	         jmp  r11
//	         syscall            for calls that are not recorded
//	call:    jmp  site+2
//
// A syscall instruction destroys rcx and r11 as well.

const (
	landingSize = 32
	landingBack = 19 // where a call goes on in it
	// Landings is how many sites a process can have.
	Landings = pageSize / landingSize
)

// A Led is a site that is led to the recorder, by way of a gap. Its place in a list is
// that of its landing.
type Led struct{ Site, Gap uint64 }

// LandingAt returns the address of a process's n-th landing.
func LandingAt(base uint64, n int) uint64 { return base + landingPage + uint64(n)*landingSize }

// Landing returns the code of the n-th landing, for a site whose syscall instruction is
// at an address. It returns false if that is too far away.
func Landing(base uint64, n int, site uint64) (code []byte, ok bool) {
	at := LandingAt(base, n)
	b := []byte{0x48, 0x8d, 0x0d} // lea rcx, [rip + …]
	b = native.AppendUint32(b, landingBack-uint32(len(b)+4))
	b = append(b, 0x4c, 0x8d, 0x1d) // lea r11, [rip + …]
	entryAt := base + entry
	b = native.AppendUint32(b, uint32(entryAt-(at+uint64(len(b))+4)))
	b = append(b, 0x41, 0xff, 0xe3) // jmp r11
	b = append(b, 0x0f, 0x05)       // syscall
	back, ok := jump(at+landingBack, site+2)
	b = append(b, back...)
	for len(b) < landingSize {
		b = append(b, trap)
	}
	return b, ok
}

// Detour returns what is to stand at a site, and in the gap that belongs to it, so that
// the site leads to a landing.
func Detour(site, gap, landing uint64) (atSite, inGap []byte, ok bool) {
	inGap, ok = jump(gap, landing)
	distance := int64(gap - (site + 2))
	if !ok || distance != int64(int8(distance)) {
		return nil, nil, false
	}
	return []byte{0xeb, byte(distance)}, inGap, true
}

// SyscallInstruction is what a site consists of.
var SyscallInstruction = [2]byte{0x0f, 0x05}

// jump returns a jump of five bytes.
func jump(from, to uint64) (code []byte, ok bool) {
	distance := int64(to - (from + gapSize))
	if distance != int64(int32(distance)) {
		return nil, false
	}
	return native.AppendUint32([]byte{0xe9}, uint32(distance)), true
}
