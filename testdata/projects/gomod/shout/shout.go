// Package shout raises its voice.
package shout

// Shout is s with an exclamation mark.
func Shout(s string) string { return s + mark }
