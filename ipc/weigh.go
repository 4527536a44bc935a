package ipc

// What a value takes in memory once it is decoded and dealt with, about and at most, as
// measured with messages of 8 MB that hold nothing but such values. In bytes.
const (
	weightObject  = 1536 // an entry of a manifest, and the reason that it is stale
	weightElement = 64
	weightString  = 128
	weightPattern = 320 // of an "only" or "ignore" list, more than a string
)

// weigh returns how much memory it takes to deal with valid JSON text. A message of a few
// bytes for each value becomes a hundred times as large: "{},{},{}".
func weigh(data []byte) int64 {
	if len(data) == 0 {
		return 0
	}
	i := inspector{data: data}
	i.space()
	return i.weigh("")
}

func (i *inspector) weigh(key string) (n int64) {
	switch i.data[i.at] {
	case '"':
		n = weightString + 2*int64(len(i.text()))
		if key == "only" || key == "ignore" {
			n += weightPattern
		}
	case '[':
		i.at++
		for i.more(']') {
			n += weightElement + i.weigh(key)
		}
	case '{':
		n = weightObject
		i.at++
		for i.more('}') {
			key := string(i.text())
			i.space()
			i.at++
			i.space()
			n += i.weigh(key)
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
