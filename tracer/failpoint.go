//go:build !failpoints

package tracer

// failpoint marks a step at which a test can hold the launch: in binaries built
// with the tag failpoints (failpoint_on.go), never in others.
func failpoint(string) {}
