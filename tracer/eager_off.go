//go:build !eagerrecorder

package tracer

// eager is 0: processes get the recorder when they have made some calls.
const eager = 0
