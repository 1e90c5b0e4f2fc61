package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io/fs"
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

// relists is how often a directory is listed, or a chain opened, again because a program beside has removed what
// was there.
const relists = 5

// eachCheckpoint looks at the file itself, or at each checkpoint of a directory, and answers what look did, and the
// errors, newest first, until ctx ends. What has gone since it was listed is no error: the newer ones are looked
// at then.
func eachCheckpoint[T any](ctx context.Context, path string, look func(path string) (T, error)) (all []T, errs []error, err error) {
	type result struct {
		path  string
		value T
		err   error
	}
	var results []result
	for round := 0; ; round++ {
		paths, err := checkpointsAt(path)
		if err != nil {
			return nil, nil, err
		}
		gone := false
		for _, p := range paths {
			if slices.ContainsFunc(results, func(r result) bool { return r.path == p }) {
				continue
			}
			v, err := look(p)
			if _, e := os.Lstat(p); err != nil && errors.Is(e, fs.ErrNotExist) && p != path && round < relists {
				gone = true
				continue
			}
			results = append(results, result{p, v, err})
			if ctx.Err() != nil {
				gone = false
				break
			}
		}
		if !gone {
			break
		}
	}
	slices.SortStableFunc(results, func(a, b result) int { return strings.Compare(b.path, a.path) })
	for _, r := range results {
		all = append(all, r.value)
		if r.err != nil {
			errs = append(errs, r.err)
		}
	}
	return all, errs, nil
}

// openImage opens a checkpoint whose chain a program beside may be folding: the parents go then. Its error names path.
func openImage(path string) (im *checkpoint.Image, err error) {
	for range relists {
		if im, err = checkpoint.OpenImage(path); !errors.Is(err, checkpoint.ErrNoParent) {
			break
		}
	}
	if err != nil && !strings.Contains(err.Error(), path) {
		err = fmt.Errorf("%s: %w", path, err)
	}
	return im, err
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
