package manifest_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"github.com/fstrace/fstrace/events/manifest"
	"github.com/fstrace/fstrace/tracer"
)

// What a command depended on, and whether it would do the same again.
func ExampleRecord() {
	dir, err := os.MkdirTemp("", "example")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	source := filepath.Join(dir, "source")
	if err := os.WriteFile(source, []byte("one\n"), 0o666); err != nil {
		log.Fatal(err)
	}

	cmd := tracer.Command("cp", "source", "target")
	cmd.Dir = dir
	m, err := manifest.Record(context.Background(), cmd, manifest.Options{Root: dir})
	if err != nil {
		log.Fatal(err)
	}
	for i := range m.Outputs {
		fmt.Println("output", filepath.Base(m.Outputs[i].Path))
	}

	check := func() {
		differences, err := manifest.Check(m, manifest.CheckOptions{})
		if err != nil {
			log.Fatal(err)
		}
		for _, d := range differences {
			fmt.Println("stale:", filepath.Base(d.Path), d.Reason)
		}
		if len(differences) == 0 {
			fmt.Println("valid")
		}
	}
	check()
	if err := os.WriteFile(source, []byte("two\n"), 0o666); err != nil {
		log.Fatal(err)
	}
	check()
	// Output:
	// output target
	// valid
	// stale: source content changed
}

// Which commands led to an access.
func ExampleManifest_Why() {
	cmd := tracer.Command("sh", "-c", "cat /etc/passwd; true")
	m, err := manifest.Record(context.Background(), cmd, manifest.Options{})
	if err != nil {
		log.Fatal(err)
	}
	x := m.Why("/etc/passwd")
	fmt.Println(x.Roles)
	for _, p := range x.Accesses[0].Chain {
		fmt.Println(p.Argv)
	}
	// Output:
	// [input]
	// [cat /etc/passwd]
	// [sh -c cat /etc/passwd; true]
}

// Several manifests, of which each path is looked at once.
func ExampleChecker() {
	checker := manifest.NewChecker()
	for _, command := range [][]string{{"cat", "/etc/passwd"}, {"wc", "/etc/passwd"}} {
		cmd := tracer.Command(command[0], command[1:]...)
		m, err := manifest.Record(context.Background(), cmd, manifest.Options{})
		if err != nil {
			log.Fatal(err)
		}
		differences, err := checker.Check(m, manifest.CheckOptions{AsFound: true})
		fmt.Println(command[0], len(differences), err)
	}
	// Output:
	// cat 0 <nil>
	// wc 0 <nil>
}
