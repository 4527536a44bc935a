package varlink

// What a value takes in memory once it is decoded and dealt with, about and at most, as
// measured with messages of 8 MB that hold nothing but such values. In bytes.
const (
	weightObject  = 1536 // an entry of a manifest, and the reason that it is stale
	weightElement = 64
	weightString  = 128
)

// Weigh returns how much memory, in bytes, it takes to decode valid JSON text and to deal
// with it. A message such as "{},{},{}" becomes a hundred times as large. extra has the
// names of members whose strings take more.
func Weigh(data []byte, extra map[string]int64) int64 {
	if len(data) == 0 {
		return 0
	}
	i := inspector{data: data}
	i.space()
	return i.weigh("", extra)
}

func (i *inspector) weigh(key string, extra map[string]int64) (n int64) {
	switch i.data[i.at] {
	case '"':
		n = weightString + 2*int64(len(i.text())) + extra[key]
	case '[':
		i.at++
		for i.more(']') {
			n += weightElement + i.weigh(key, extra)
		}
	case '{':
		n = weightObject
		i.at++
		for i.more('}') {
			key := string(i.text())
			i.space()
			i.at++
			i.space()
			n += i.weigh(key, extra)
		}
	default:
		i.skip()
	}
	return n
}

// more goes on to the next element or member. It reports whether there is one.
func (i *inspector) more(end byte) bool {
	i.space()
	switch i.data[i.at] {
	case end:
		i.at++
		return false
	case ',':
		i.at++
		i.space()
	}
	return true
}
