//go:build eagerrecorder

package tracer

// eager is 1 in tests: processes record their calls from the first that they can record.
const eager = 1
