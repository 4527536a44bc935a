// Package jobcontrol lets a program that stands for its command stop and end as the command
// does, so that the shell, which knows only the program, sees what it would see of the command.
// fstrace itself uses it; a program that only records commands does not need it.
//
// Signals are held back by the masks of threads: call [HoldStops] before the program starts
// any.
package jobcontrol
