package recorder

// trap fills what is no code.
const trap = 0

// tryCall is not made.
const tryCall = 0

// calls are those that may be recorded: none.
var calls = map[int]call{}

// A program is the code; there is none.
type program struct {
	text   []byte
	behind int
}

func loadProgram() (*program, error) { return nil, ErrNotHere }

func (p *program) after(int) (int, bool) { return 0, false }

// enter is not called where there is no code.
func enter(entry uintptr, call, a0, a1, a2, a3, a4 uintptr) (result uintptr) { panic(ErrNotHere) }
