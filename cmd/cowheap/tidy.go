package main

import (
	"context"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"time"

	"github.com/cowheap/cowheap/checkpoint"
	"github.com/cowheap/cowheap/restore"
)

const foldUsage = `Usage: cowheap fold [-json] FILE

Makes an incremental checkpoint a full one, in its place, and removes parents that no other checkpoint needs. The directory
must not be open elsewhere.

Exit status:
  0  it is a full one
  1  it could not be done; nothing has changed
  2  wrong usage
`

const pruneUsage = `Usage: cowheap prune [-json] [-keep N] [-for DURATION] DIR

Removes checkpoints but for the newest usable ones, the young ones, and the parents that these need. The directory must
not be open elsewhere.

Exit status:
  0  only what is to be kept is left
  1  it could not be done, or not all of it
  2  wrong usage
`

// openStore opens a directory that is there; OpenStore would make it. It folds nothing by itself.
func openStore(dir string) (*checkpoint.Store, error) {
	if st, err := os.Stat(dir); err != nil {
		return nil, err
	} else if !st.IsDir() {
		return nil, fmt.Errorf("%s is not a directory", dir)
	}
	return checkpoint.OpenStore(dir, checkpoint.StoreOptions{NoFold: true})
}

func runFold(args []string, stdout, stderr io.Writer) error {
	set, asJSON := newCommand("fold", foldUsage)
	got, err := parse(set, args, stdout, stderr, "FILE")
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	im, err := openImage(got[0])
	if err != nil {
		return err
	}
	id := im.Info().ID
	if err := im.Close(); err != nil {
		return err
	}
	if name := hex.EncodeToString(id[:]) + ".cowheap"; filepath.Base(got[0]) != name {
		return fmt.Errorf("%s is checkpoint %s and not called so: give it the name %s, in a directory where no other has it", got[0], id, name)
	}
	s, err := openStore(filepath.Dir(got[0]))
	if err != nil {
		return err
	}
	defer s.Close()
	info, err := s.Fold(ctx, id)
	if err != nil {
		return err
	}
	if *asJSON {
		return writeJSON(stdout, struct {
			Schema int    `json:"schema"`
			Path   string `json:"path"`
			Bytes  int64  `json:"bytes"`
		}{1, info.Path, info.Bytes})
	}
	_, err = fmt.Fprintf(stdout, "%s: full, %s\n", info.Path, formatBytes(info.Bytes))
	return err
}

func runPrune(args []string, stdout, stderr io.Writer) error {
	set, asJSON := newCommand("prune", pruneUsage)
	keep := set.Int("keep", checkpoint.DefaultKeep, "keep the `N` newest usable checkpoints, at least 1")
	young := set.Duration("for", 0, "keep those that were written less than `DURATION` ago, too")
	got, err := parse(set, args, stdout, stderr, "DIR")
	if err != nil {
		return err
	}
	if *keep < 1 || *young < 0 {
		fmt.Fprintf(stderr, "-keep %d -for %v: want at least 1, and no negative time\n", *keep, *young)
		return errUsage
	}
	return prune(got[0], *keep, *young, *asJSON, stdout)
}

func prune(dir string, keep int, young time.Duration, asJSON bool, stdout io.Writer) error {
	s, err := openStore(dir)
	if err != nil {
		return err
	}
	defer s.Close()
	gone, err := s.Prune(checkpoint.Policy{Keep: keep, For: young})
	names := []string{}
	for _, id := range gone {
		names = append(names, id.String())
	}
	if err == nil {
		err = restore.TidyTouched(dir)
	}
	if asJSON {
		if e := writeJSON(stdout, struct {
			Schema  int      `json:"schema"`
			Removed []string `json:"removed"`
		}{1, names}); e != nil {
			return e
		}
		return err
	}
	for _, name := range names {
		fmt.Fprintln(stdout, "removed", name)
	}
	return err
}
