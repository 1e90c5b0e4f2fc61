package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strconv"
	"strings"
)

func main() {
	// The first interrupt ends the run after the measurement under way, so that
	// files are removed; the second ends it at once.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	context.AfterFunc(ctx, stop)
	err := command(ctx, cases(), os.Args[1:], os.Stdout, os.Stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
		os.Exit(2)
	case err != nil:
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// minRounds is how many rounds a median is worth printing of.
const minRounds = 5

// settings are what the command line says.
type settings struct {
	json   bool
	quick  bool
	brief  bool   // leave out what stands aside
	size   size   // 0: each case's own
	rounds int    // 0: each case's own
	only   string // variants whose names contain it
	dir    string // for files; "": the system's for temporary files
}

// command is the program without the process around it.
func command(ctx context.Context, all []*Case, args []string, stdout, stderr io.Writer) error {
	if len(args) > 0 {
		switch rest := args[1:]; args[0] {
		case "report":
			return report(ctx, all, rest, stdout, stderr)
		case "compare":
			return compare(rest, stdout, stderr)
		case serveWord:
			if len(rest) != 2 {
				return errors.New(serveWord + " wants a socket and a directory")
			}
			return serveMap(ctx, rest[0], rest[1])
		}
	}
	var s settings
	names, err := s.parseCases(args, stderr)
	if err != nil {
		return err
	}
	if len(names) == 0 {
		return list(stdout, all)
	}
	picked, err := pick(all, names)
	if err != nil {
		return err
	}
	if err := anyOf(picked, s.only); err != nil {
		return err
	}
	measured := false
	for _, c := range picked {
		r := newRun(c, s, stderr)
		out, err := r.measure(ctx)
		if err != nil {
			return fmt.Errorf("%s: %w", c.Name, err)
		}
		measured = measured || out.measured()
		if s.json {
			err = out.writeJSON(stdout)
		} else {
			err = out.writeTable(stdout)
		}
		if err != nil {
			return err
		}
	}
	if !measured {
		return errors.New("nothing of this can be measured on this machine")
	}
	return nil
}

// parseCases reads flags and cases.
func (s *settings) parseCases(args []string, stderr io.Writer) (names []string, err error) {
	set := flag.NewFlagSet("bench", flag.ContinueOnError)
	set.BoolVar(&s.json, "json", false, "print one JSON object a variant and line")
	set.Usage = func() {
		fmt.Fprintln(stderr, usage)
		set.PrintDefaults()
	}
	return s.parse(set, args, stderr)
}

// parse reads flags, also those after a case, and returns the cases' names.
func (s *settings) parse(set *flag.FlagSet, args []string, stderr io.Writer) (names []string, err error) {
	set.SetOutput(stderr)
	set.BoolVar(&s.quick, "quick", false, "small sizes and no warm-up: see whether everything runs; the figures mean nothing")
	set.Var(&s.size, "size", "`bytes` of memory a case works on, such as 64MiB or 10GiB (default: the case's own)")
	set.Func("rounds", "`number` of measurements of each variant (default 5, fewer where a round takes minutes, 2 with -quick)", s.setRounds)
	set.StringVar(&s.only, "only", "", "measure only variants whose names contain `text`")
	set.StringVar(&s.dir, "dir", "", "where checkpoints are written (default: the directory for temporary files)")
	for {
		if err := set.Parse(args); err != nil {
			return nil, err
		}
		if set.NArg() == 0 {
			break
		}
		names = append(names, set.Arg(0))
		args = set.Args()[1:]
	}
	switch {
	case 0 < s.rounds && s.rounds < minRounds && !s.quick:
		return nil, fmt.Errorf("-rounds %d: a median wants at least %d; -quick allows fewer", s.rounds, minRounds)
	case s.size != 0 && s.size < minSize:
		return nil, fmt.Errorf("-size %v: want at least %v", s.size, size(minSize))
	}
	return names, nil
}

func (s *settings) setRounds(text string) (err error) {
	if s.rounds, err = strconv.Atoi(text); err == nil && s.rounds < 1 {
		err = errors.New("want at least 1")
	}
	return err
}

// anyOf is an error if no variant of the cases has a name that contains only.
func anyOf(cases []*Case, only string) error {
	var names []string
	for _, c := range cases {
		for _, v := range c.Variants {
			if strings.Contains(v.Name, only) {
				return nil
			}
			names = append(names, v.Name)
		}
	}
	const enough = 20
	more := ""
	if n := len(names) - enough; n > 0 {
		more = fmt.Sprintf(" and %d more", n)
	}
	return fmt.Errorf("no variant has %q in its name: there are %s%s", only, strings.Join(names[:min(len(names), enough)], ", "), more)
}
