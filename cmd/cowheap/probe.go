package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"strings"
)

const probeUsage = `Usage: cowheap probe [-json] [-guard NAME]

Prints what this machine supports: each guard (the way an arena notices the first write to a page after a snapshot) and
each feature of the kernel that guards stand on, with the reason and the remedy for what does not work. Needs no
privileges, and answers for the user who runs it.

`

const probeStatuses = `
Exit status:
  0  the answer was printed
  1  it could not be printed
  2  wrong usage
  3  the guard that -guard names does not work here
`

// exitNoGuard is what a script asks for with -guard.
const exitNoGuard = 3

func runProbe(args []string, stdout, stderr io.Writer) error {
	set := flag.NewFlagSet("probe", flag.ContinueOnError)
	asJSON := set.Bool("json", false, "print JSON")
	guardName := set.String("guard", "", "exit with status 3 unless the guard `NAME` works here")
	set.Usage = func() {
		fmt.Fprint(set.Output(), probeUsage)
		set.PrintDefaults()
		fmt.Fprint(set.Output(), probeStatuses)
	}
	if _, err := parse(set, args, stdout, stderr); err != nil {
		return err
	}
	r := probeMachine()
	wanted, err := r.guard(*guardName)
	if err != nil {
		fmt.Fprintf(stderr, "%v\n", err)
		return errUsage
	}
	if err := printOutput(stdout, r, *asJSON); err != nil {
		return err
	}
	if wanted != nil && wanted.Status != answerYes {
		return &exitError{exitNoGuard, fmt.Errorf("guard %s: %s", wanted.Name, wanted.Reason)}
	}
	return nil
}

// guard finds a guard by name; none for "".
func (r *report) guard(name string) (*guardReport, error) {
	if name == "" {
		return nil, nil
	}
	var names []string
	for i := range r.Guards {
		if r.Guards[i].Name == name {
			return &r.Guards[i], nil
		}
		names = append(names, r.Guards[i].Name)
	}
	return nil, errors.New("no guard " + name + ": there are " + strings.Join(names, ", "))
}
