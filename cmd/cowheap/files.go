package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/cowheap/cowheap/checkpoint"
)

// checkpointsAt is the file itself, or the checkpoints in a directory, newest first. Nothing is locked, made or
// tidied up: a program may have the directory open.
func checkpointsAt(path string) ([]string, error) {
	st, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !st.IsDir() {
		return []string{path}, nil
	}
	entries, err := os.ReadDir(path)
	if err != nil {
		return nil, err
	}
	var paths []string
	for _, e := range slices.Backward(entries) {
		if strings.HasSuffix(e.Name(), ".cowheap") {
			paths = append(paths, filepath.Join(path, e.Name()))
		}
	}
	if len(paths) == 0 {
		return nil, fmt.Errorf("%s: %w", path, checkpoint.ErrNotFound)
	}
	return paths, nil
}

// newCommand is the flags of a command, with -json among them.
func newCommand(name, usage string) (set *flag.FlagSet, asJSON *bool) {
	set = flag.NewFlagSet(name, flag.ContinueOnError)
	asJSON = set.Bool("json", false, "print JSON")
	set.Usage = func() {
		about, statuses, _ := strings.Cut(usage, "\nExit status:")
		fmt.Fprintln(set.Output(), about)
		set.PrintDefaults()
		fmt.Fprint(set.Output(), "\nExit status:"+statuses)
	}
	return set, asJSON
}

// formatBytes is a size for people: 4096 B, 1.5 MiB.
func formatBytes(n int64) string {
	units := []string{"KiB", "MiB", "GiB", "TiB"}
	v, unit := float64(n), "B"
	for _, u := range units {
		if v < 10240 {
			break
		}
		v, unit = v/1024, u
	}
	if unit == "B" {
		return fmt.Sprintf("%d B", n)
	}
	return fmt.Sprintf("%.1f %s", v, unit)
}
