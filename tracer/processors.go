package tracer

// Processors is how many processors of Go's (GOMAXPROCS) a program with one session at a
// time should have at least: one for each thread that is in system calls all the time,
// the receiver and the tracer thread, one for the consumer, and one for everything else.
// Who has none waits for the Go runtime's monitor, which comes seldom here
// (internal/shim/timerslack.go).
const Processors = 4
