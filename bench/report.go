package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// go run ./bench report measures every case, one after the other, and leaves a directory with
// report.jsonl (the lines, written as soon as a case is done), report.md and a picture a plot.
// A case that fails is named in the report, and the next one begins. An interrupt ends the
// measuring, and what there is then is reported.

const (
	reportLines = "report.jsonl"
	reportText  = "report.md"
)

// reportSettings are what the command line says.
type reportSettings struct {
	settings
	out  string
	from string // lines to make the report from, instead of measuring
}

const reportUsage = "usage: go run ./bench report [-out DIR] [-quick] [-from FILE.jsonl] [-size 1GiB] [-rounds 5] [-dir DIR] [CASE...]"

// report is the subcommand.
func report(ctx context.Context, all []*Case, args []string, stdout, stderr io.Writer) error {
	var s reportSettings
	names, err := s.parse(args, stderr)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(s.out, 0o777); err != nil {
		return err
	}
	var m *measurements
	if s.from != "" {
		m, err = readLinesOf(s.from)
	} else {
		picked := all
		s.brief = len(names) == 0 && s.only == ""
		if len(names) > 0 {
			if picked, err = pick(all, names); err != nil {
				return err
			}
		}
		m, err = s.measure(ctx, picked, "go run ./bench report "+strings.Join(args, " "), stderr)
	}
	if m == nil {
		return err
	}
	// Whatever ended the measuring, what there is is reported.
	if e := writeReport(s.out, m); e != nil {
		return errors.Join(err, e)
	}
	fmt.Fprintln(stdout, filepath.Join(s.out, reportText))
	return err
}

func (s *reportSettings) parse(args []string, stderr io.Writer) (names []string, err error) {
	set := flag.NewFlagSet("bench report", flag.ContinueOnError)
	set.StringVar(&s.out, "out", "cowheap-report", "`directory` of the report; what is there under the same names is replaced")
	set.StringVar(&s.from, "from", "", "make the report from the lines in `file`, and measure nothing")
	set.Usage = func() {
		fmt.Fprintln(stderr, reportUsage)
		set.PrintDefaults()
	}
	return s.settings.parse(set, args, stderr)
}

func readLinesOf(name string) (*measurements, error) {
	file, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	m, err := readLines(file)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return m, nil
}

// measure runs cases and keeps their lines in a file. The error tells of an interrupt, or of the
// cases that failed; there are measurements all the same.
func (s *reportSettings) measure(ctx context.Context, all []*Case, command string, stderr io.Writer) (*measurements, error) {
	file, err := os.Create(filepath.Join(s.out, reportLines))
	if err != nil {
		return nil, err
	}
	var kept bytes.Buffer
	w := io.MultiWriter(file, &kept)
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(thisMachine(strings.TrimSpace(command))); err != nil {
		return nil, errors.Join(err, file.Close())
	}
	var errs []error
	expected := s.forecast(all)
	expected.trial = try()
	fmt.Fprintln(stderr, expected.announce())
	for _, c := range all {
		if err := ctx.Err(); err != nil {
			if len(errs) == 0 { // else the case that was interrupted has said so
				errs = append(errs, err)
			}
			break
		}
		r := newRun(c, s.settings, stderr)
		r.progress.ahead = expected.String
		r.step = expected.step(r)
		start := time.Now()
		out, err := r.measureSafely(ctx)
		expected.finish(c)
		line := caseLine{Case: c.Name, About: c.About, Size: int64(out.Size), Rounds: out.Rounds, Seconds: shorten(time.Since(start).Seconds())}
		if err != nil {
			if line.Failed = err.Error(); errors.Is(err, context.Canceled) {
				line.Failed = "interrupted"
			}
			errs = append(errs, fmt.Errorf("%s: %w", c.Name, err))
		}
		fmt.Fprintln(stderr, expected.report(line))
		if err := errors.Join(encoder.Encode(line), out.writeJSON(w)); err != nil {
			errs = append(errs, err)
			break
		}
	}
	errs = append(errs, file.Close())
	m, err := readLines(&kept)
	return m, errors.Join(append(errs, err)...)
}
