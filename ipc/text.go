package ipc

import "unicode/utf8"

// A text is a string that need not be UTF-8, in the two fields that it has.
func toText(s string) (text *string, b64 []byte) {
	if utf8.ValidString(s) {
		return &s, nil
	}
	return nil, []byte(s)
}

func fromText(text *string, b64 []byte) string {
	if b64 != nil {
		return string(b64)
	}
	if text != nil {
		return *text
	}
	return ""
}

// toTexts is toText for lists: either all elements are text, or all bytes.
func toTexts(list []string) (text []string, b64 [][]byte) {
	for _, s := range list {
		if !utf8.ValidString(s) {
			for _, s := range list {
				b64 = append(b64, []byte(s))
			}
			return nil, b64
		}
	}
	if list == nil {
		list = []string{}
	}
	return list, nil
}

func fromTexts(text []string, b64 [][]byte) []string {
	if b64 == nil {
		return text
	}
	list := make([]string, len(b64))
	for i := range b64 {
		list[i] = string(b64[i])
	}
	return list
}
