package events

import (
	"strings"
	"testing"
)

// FuzzDecoder: whatever is read, the decoder does not panic; and what it makes
// of a whole record is written and read again to the same bytes.
func FuzzDecoder(f *testing.F) {
	f.Add(headerLine + statLine + trailerLine)
	f.Add(headerLine + statLine)
	f.Add(headerLine + `{"seq":2,"time":"2026-11-20T12:00:00+23:59","pid":2,"tid":2,"op":"exec","argvBase64":["/w==",""],"exeBase64":"AAAA"}` + "\n" + trailerLine)
	f.Add(headerLine + `{"op":"exit","time":"0001-01-01T00:00:00Z","signal":"SIGKILL","core":true,"exit":{"code":3}}` + "\n" + trailerLine)
	f.Add(headerLine + `{"op":"stat","time":"2026-11-20T12:00:00.5Z","path":"\ud800","links":[{},{"pathBase64":"/w=="}],"flags":[""]}` + "\n" + trailerLine)
	f.Add(`{"fstrace":1}` + "\n" + `{"end":"2026-11-20T12:00:00Z","exit":{"signal":"SIGKILL"},"complete":false,"incomplete":[{}],"counts":{"read":18446744073709551615}}`)
	f.Add(`{"fstrace":2}`)
	f.Add("null\n\n")
	f.Fuzz(func(t *testing.T, record string) {
		h, events, end, err := decode(strings.NewReader(record))
		if err != nil {
			return
		}
		first := encode(t, h, events, end)
		h, events, end, err = decode(strings.NewReader(first))
		if err != nil {
			t.Fatalf("%v\n%s", err, first)
		}
		if second := encode(t, h, events, end); second != first {
			t.Fatalf("first\n%ssecond\n%s", first, second)
		}
	})
}
