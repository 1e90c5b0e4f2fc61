// Command cowheap looks at what cowheap stands on and at what it leaves behind.
//
//	cowheap probe              what this machine supports, and what to do about what it does not
//	cowheap inspect FILE|DIR   what a checkpoint holds: header, roots, layouts, where its pages are
//	cowheap verify FILE|DIR    whether every byte is what was written
//	cowheap diff A B           which pages, and which fields of roots, differ
//	cowheap fold FILE          make an incremental checkpoint a full one
//	cowheap prune DIR          remove old checkpoints
//
// Exit status: 0 it did what was asked; 1 it could not; 2 it was called wrongly; a command may have more, see its -h.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"text/tabwriter"
)

// command is one word after cowheap.
type command struct {
	name    string
	summary string
	run     func(args []string, stdout, stderr io.Writer) error
}

func commands() []command {
	return []command{
		{"probe", "what this machine supports, by feature and by guard", runProbe},
		{"inspect", "what a checkpoint, or each in a directory, holds", runInspect},
		{"verify", "whether every byte of a checkpoint, or of a directory's, is what was written", runVerify},
		{"diff", "which pages and fields of roots differ between two checkpoints", runDiff},
		{"fold", "make an incremental checkpoint a full one", runFold},
		{"prune", "remove old checkpoints from a directory", runPrune},
	}
}

// Exit statuses that every command shares.
const (
	exitOK     = 0
	exitFailed = 1
	exitUsage  = 2
)

// exitError ends the program with a status of its own.
type exitError struct {
	status int
	err    error
}

func (e *exitError) Error() string { return e.err.Error() }
func (e *exitError) Unwrap() error { return e.err }

func main() {
	os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
}

// run is main with everything handed in. It returns the exit status.
func run(args []string, stdout, stderr io.Writer) int {
	if len(args) == 0 {
		usage(stderr)
		return exitUsage
	}
	switch args[0] {
	case "help", "-h", "-help", "--help":
		usage(stdout)
		return exitOK
	}
	for _, c := range commands() {
		if c.name == args[0] {
			return status(c.name, c.run(args[1:], stdout, stderr), stderr)
		}
	}
	fmt.Fprintf(stderr, "cowheap: no command %q\n\n", args[0])
	usage(stderr)
	return exitUsage
}

// status reports err, if any, and says how the program ends.
func status(name string, err error, stderr io.Writer) int {
	if err == nil || errors.Is(err, flag.ErrHelp) {
		return exitOK
	}
	if err == errUsage { // said already
		return exitUsage
	}
	fmt.Fprintf(stderr, "cowheap %s: %s\n", name, printableLines(err.Error()))
	if e, ok := errors.AsType[*exitError](err); ok {
		return e.status
	}
	return exitFailed
}

// errUsage: the command line was wrong, and stderr has the reason and the usage.
var errUsage = errors.New("usage")

// parse parses flags into set, before and between the arguments, of which there must be as many as names.
func parse(set *flag.FlagSet, args []string, stdout, stderr io.Writer, names ...string) (got []string, err error) {
	set.SetOutput(stderr)
	for _, arg := range args {
		if arg == "-h" || arg == "-help" || arg == "--help" {
			set.SetOutput(stdout) // asked for, so it is the output
		}
	}
	for {
		if err := set.Parse(args); err != nil {
			if errors.Is(err, flag.ErrHelp) {
				return nil, err
			}
			return nil, errUsage
		}
		if set.NArg() == 0 {
			break
		}
		if len(got) == len(names) {
			fmt.Fprintf(stderr, "unexpected argument %q\n", set.Arg(0))
			set.Usage()
			return nil, errUsage
		}
		got = append(got, set.Arg(0))
		args = set.Args()[1:]
	}
	if len(got) < len(names) {
		fmt.Fprintf(stderr, "missing argument: %s\n", names[len(got)])
		set.Usage()
		return nil, errUsage
	}
	return got, nil
}

func usage(w io.Writer) {
	fmt.Fprint(w, "cowheap keeps a Go program's state in memory that can be frozen at an instant.\n\nUsage:\n\n\tcowheap COMMAND [flags]\n\nCommands:\n\n")
	t := tabwriter.NewWriter(w, 0, 8, 3, ' ', 0)
	for _, c := range commands() {
		fmt.Fprintf(t, "\t%s\t%s\n", c.name, c.summary)
	}
	t.Flush()
	fmt.Fprint(w, "\ncowheap COMMAND -h has the flags of a command and its exit statuses.\n")
}
