package varlink

import "testing"

// TestWeigh: all that may be decoded counts.
func TestWeigh(t *testing.T) {
	for data, want := range map[string]int64{
		``: 0, `{}`: weightObject, ` [ {} , {} ] `: 2 * (weightObject + weightElement),
		`{"a":["x","\"]"]}`:         weightObject + 2*(weightElement+weightString) + 2 + 6,
		`{"only":["x"],"b":-1.5}`:   weightObject + weightElement + weightString + 320 + 2,
		`{"a":{"processes":[{}] }}`: 3*weightObject + weightElement,
		`[1,true,null]`:             3 * weightElement,
	} {
		if got := Weigh([]byte(data), map[string]int64{"only": 320}); got != want {
			t.Errorf("%s: %d, want %d", data, got, want)
		}
	}
}
