package manifest

import "fmt"

// Times selects which of the times that a command got are compared by [Check].
// docs/semantics.md lists the tools that need each policy. The zero value is [TimesAuto].
type Times uint8

const (
	// TimesAuto compares size, time and owner of files on which the command called
	// stat(2) and which it did not read, because it can only have decided by them. make
	// and Python do this.
	TimesAuto Times = iota
	// TimesStrict compares everything that stat(2) returned: times, owners and numbers of
	// links, also for files that were read, for directories and for symbolic links. tar,
	// cp -p and find -newer need this.
	TimesStrict
	// TimesIgnore compares only existence, type, permission bits and size. Fresh
	// checkouts need this.
	TimesIgnore
)

var timesWords = [...]string{TimesAuto: "auto", TimesStrict: "strict", TimesIgnore: "ignore"}

// String returns the word for the policy: "auto", "strict" or "ignore".
func (t Times) String() string {
	if int(t) < len(timesWords) {
		return timesWords[t]
	}
	return ""
}

// MarshalText returns the word for the policy.
func (t Times) MarshalText() ([]byte, error) { return []byte(t.String()), nil }

// UnmarshalText sets the policy by its word.
func (t *Times) UnmarshalText(text []byte) error {
	for i, word := range timesWords {
		if string(text) == word {
			*t = Times(i)
			return nil
		}
	}
	return fmt.Errorf("%q: must be auto, strict or ignore", text)
}
