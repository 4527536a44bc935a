package main

import (
	"slices"
	"strings"
)

// sessionVariables differ between shells and say nothing to a command that is cached. It
// runs without them.
var sessionVariables = []string{"_", "OLDPWD", "SHLVL"}

// environment returns the environment that the command gets, all of which is a part of
// its key: variables of env that names lists, and PATH; all but the sessionVariables if
// names is empty.
func environment(env, names []string) (list []string) {
	for _, pair := range env {
		name, value, _ := strings.Cut(pair, "=")
		switch {
		case len(names) > 0 && name != "PATH" && !slices.Contains(names, name):
		case len(names) == 0 && slices.Contains(sessionVariables, name):
		case name == "MAKEFLAGS" || name == "MFLAGS":
			list = append(list, name+"="+withoutJobserver(value))
		default:
			list = append(list, pair)
		}
	}
	slices.Sort(list)
	return list
}

// withoutJobserver removes the words that lead to the jobserver of a make: the command
// does not get its descriptors, and its name differs from run to run.
func withoutJobserver(flags string) string {
	words := strings.Split(flags, " ")
	words = slices.DeleteFunc(words, func(word string) bool {
		return strings.HasPrefix(word, "--jobserver-auth=") || strings.HasPrefix(word, "--jobserver-fds=")
	})
	return strings.Join(words, " ")
}
