// Sample prints with the runtime alone: its build compiles little else.
package main

import "example.test/sample/shout"

func main() { println(shout.Shout("built")) }
