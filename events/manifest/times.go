package manifest

import "fmt"

// Times says which of the times that a command was told count for a [Check].
// docs/semantics.md lists the tools that need each.
type Times uint8

const (
	// TimesAuto: the size, time and owner of a file count if the command asked for them
	// and did not read the file: it can only have decided by them. This is what make and
	// Python do.
	TimesAuto Times = iota
	// TimesStrict: all that the command was told counts: times, owners and numbers of
	// links of files that were read as well, of directories and of symbolic links. This
	// is what tar, cp -p and find -newer need.
	TimesStrict
	// TimesIgnore: of what stat(2) tells, only existence, type, permission bits and size
	// count. This is what fresh checkouts need.
	TimesIgnore
)

var timesWords = [...]string{TimesAuto: "auto", TimesStrict: "strict", TimesIgnore: "ignore"}

// String returns the word for the policy.
func (t Times) String() string {
	if int(t) < len(timesWords) {
		return timesWords[t]
	}
	return ""
}

// MarshalText returns the word for the policy.
func (t Times) MarshalText() ([]byte, error) { return []byte(t.String()), nil }

// UnmarshalText parses the word for a policy.
func (t *Times) UnmarshalText(text []byte) error {
	for i, word := range timesWords {
		if string(text) == word {
			*t = Times(i)
			return nil
		}
	}
	return fmt.Errorf("%q: must be auto, strict or ignore", text)
}
