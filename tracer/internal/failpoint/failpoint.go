//go:build !failpoints

// Package failpoint has steps at which a test can hold a program.
package failpoint

// At marks a step at which a test can hold the program: in binaries built
// with the tag failpoints (failpoint_on.go), never in others.
func At(string) {}
