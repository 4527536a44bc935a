package main

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
)

func newStats(f *flags) *cobra.Command {
	return &cobra.Command{
		Use:   "stats",
		Short: "Print how often results were found, and the size of the store",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			disk, err := f.open()
			if err != nil {
				return err
			}
			s, err := disk.Stats()
			if err != nil {
				return err
			}
			if f.asJSON {
				return printJSON(os.Stdout, s)
			}
			row := func(name string, value any) { fmt.Printf("%-12s%v\n", name, value) }
			row("directory", disk.Dir())
			row("size", fmt.Sprintf("%s in %d results and %d blobs", size(s.Size), s.Results, s.Blobs))
			row("restored", fmt.Sprintf("%d (%d from the remote store), saved %v", s.Hits, s.RemoteHits, round(s.Saved)))
			row("kept", s.Misses)
			for _, reason := range slices.Sorted(maps.Keys(s.NotKept)) {
				row("not kept", fmt.Sprintf("%d: %s", s.NotKept[reason], reason))
			}
			return nil
		},
	}
}

func newCollect(f *flags) *cobra.Command {
	var most string
	cmd := &cobra.Command{
		Use:   "gc --max-size SIZE",
		Short: "Remove what was not used for the longest time",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			bytes, err := parseSize(most)
			if err != nil {
				return fmt.Errorf("--max-size: %w", err)
			}
			disk, err := f.open()
			if err != nil {
				return err
			}
			c, err := disk.Collect(bytes)
			if err != nil {
				return err
			}
			if f.asJSON {
				return printJSON(os.Stdout, c)
			}
			fmt.Printf("removed %d files (%s); %d files (%s) are left\n", c.Removed, size(c.RemovedBytes), c.Left, size(c.LeftBytes))
			return nil
		},
	}
	cmd.Flags().StringVar(&most, "max-size", "", "remove files until all have at most `SIZE` bytes together: 500M, 5G")
	_ = cmd.MarkFlagRequired("max-size")
	return cmd
}

// units are powers of 1024.
const units = "KMGT"

// parseSize parses a number of bytes, with an optional unit.
func parseSize(s string) (int64, error) {
	digits, factor := strings.TrimSuffix(strings.TrimSuffix(s, "B"), "i"), int64(1)
	if n := len(digits); n > 0 {
		if i := strings.IndexByte(units, digits[n-1]); i >= 0 {
			digits, factor = digits[:n-1], 1<<(10*(i+1))
		}
	}
	n, err := strconv.ParseInt(digits, 10, 64)
	if err != nil || n < 0 || n > (1<<62)/factor {
		return 0, fmt.Errorf("%q: %w", s, errors.New("must be a number of bytes, such as 500M or 5G"))
	}
	return n * factor, nil
}

// size returns a number of bytes for people.
func size(n int64) string {
	if n < 1024 {
		return strconv.FormatInt(n, 10) + " B"
	}
	f, unit := float64(n)/1024, 0
	for f >= 1024 && unit < len(units)-1 {
		f /= 1024
		unit++
	}
	return fmt.Sprintf("%.1f %ciB", f, units[unit])
}
