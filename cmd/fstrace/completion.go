package main

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"
)

// newCompletion makes the command that prints a shell's completion script. Cobra's
// own answers a shell that it does not know with a help text and status 0.
func newCompletion() *cobra.Command {
	shells := []string{"bash", "fish", "powershell", "zsh"}
	return &cobra.Command{
		Use:       "completion bash|fish|powershell|zsh",
		Short:     "Print a shell's completion script",
		Example:   "  source <(fstrace completion bash)",
		ValidArgs: shells,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return fmt.Errorf("completion: want one shell of %v", shells)
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			root := cmd.Root()
			switch args[0] {
			case "bash":
				return root.GenBashCompletionV2(os.Stdout, true)
			case "fish":
				return root.GenFishCompletion(os.Stdout, true)
			case "powershell":
				return root.GenPowerShellCompletionWithDesc(os.Stdout)
			case "zsh":
				return root.GenZshCompletion(os.Stdout)
			}
			return fmt.Errorf("completion: unknown shell %q: must be one of %v", args[0], shells)
		},
	}
}
