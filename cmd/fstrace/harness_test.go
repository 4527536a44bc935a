package main_test

import "github.com/fstrace/fstrace/testdata/harness"

// The names that most of these tests use.
var (
	eventually = harness.Eventually
	mkdir      = harness.Mkdir
	needTool   = harness.NeedTool
	openDir    = harness.OpenDir
	writeFile  = harness.WriteFile
)
