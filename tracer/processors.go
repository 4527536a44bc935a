package tracer

// Processors is the least GOMAXPROCS for a program with one session at a time: one for
// the receiver thread, one for the tracer thread, one for the consumer and one for
// everything else. With fewer, goroutines wait for the runtime's sysmon, which runs
// seldom here (internal/shim/timerslack.go).
const Processors = 4
