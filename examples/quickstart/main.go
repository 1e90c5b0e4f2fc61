// Command quickstart is cowheap's main job on real input. It indexes the words of
// every text file of a source tree with several goroutines, saves the index
// half-way while they go on, and lets a second process restore it and verify it.
//
//	go run ./examples/quickstart                        the Go source tree of this machine
//	go run ./examples/quickstart -dir . mutex 'to do'   another tree, other queries
//
// To read it: index.go has the types in the heap and the two functions that write
// to it; build.go the goroutines and the checkpoint; restore.go the second
// process; verify.go the recount in plain Go maps. The rest knows nothing of
// cowheap.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"syscall"

	"github.com/cowheap/cowheap/arena"
)

func main() {
	// The first signal ends the work, so that files are removed; a second one ends
	// the process.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
	case errors.Is(err, errUsage): // said already
		os.Exit(2)
	case err != nil:
		fmt.Fprintln(os.Stderr, "quickstart:", err)
		os.Exit(1)
	}
}

// settings are what the command line says.
type settings struct {
	dir     string // tree to index
	workers int
	guard   arena.Guard
	keep    bool
	restore string // directory of checkpoints: be the second process
	queries []string
}

// run is the program without the process around it.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	var s settings
	if err := s.parse(args, stderr); err != nil {
		return err
	}
	dir := s.dir
	if dir == "" {
		var err error
		if dir, err = goSource(ctx); err != nil {
			return err
		}
	}
	// The second process need not start in the same place.
	dir, err := filepath.Abs(dir)
	if err != nil {
		return err
	}
	s.dir = dir
	out := newPrinter(stdout)
	if s.restore != "" {
		err = second(ctx, s, out)
	} else {
		err = first(ctx, s, out, stderr)
	}
	if cause := context.Cause(ctx); cause != nil {
		return cause // what else went wrong went wrong because of it
	}
	return err
}

// errUsage: the command line was wrong, and stderr has the reason.
var errUsage = errors.New("usage")

func (s *settings) parse(args []string, stderr io.Writer) error {
	set := flag.NewFlagSet("quickstart", flag.ContinueOnError)
	set.SetOutput(stderr)
	set.StringVar(&s.dir, "dir", "", "index the text files below `directory` (default: src in go env GOROOT)")
	set.IntVar(&s.workers, "workers", max(2, runtime.GOMAXPROCS(0)), "goroutines that read files and write to the heap")
	set.Func("guard", "how the heap notices first writes: `auto`, userfault or copy", func(name string) (err error) {
		s.guard, err = arena.ParseGuard(name)
		return err
	})
	set.BoolVar(&s.keep, "keep", false, "keep the directory with the checkpoint")
	set.StringVar(&s.restore, "restore", "", "only restore and verify the checkpoint that -keep left in `directory`")
	set.Usage = func() {
		fmt.Fprint(stderr, "Usage: quickstart [flags] [QUERY...]\n\nA query is words that a file has all of: 'mutex deadlock'.\n\n")
		set.PrintDefaults()
	}
	if err := set.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return err
		}
		return errUsage
	}
	if s.workers < 1 {
		fmt.Fprintf(stderr, "-workers %d: want at least 1\n", s.workers)
		return errUsage
	}
	if s.queries = set.Args(); len(s.queries) == 0 {
		s.queries = []string{"snapshot", "mutex deadlock", "goroutine", "userfaultfd"}
	}
	return nil
}
