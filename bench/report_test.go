package main

import (
	"bytes"
	"context"
	"encoding/xml"
	"errors"
	"flag"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "write testdata/report.md afresh")

// TestReportOfKnownLines makes the report of lines that are checked in. After a change that is
// meant, go test -run TestReportOfKnownLines -update ./bench writes what is expected.
func TestReportOfKnownLines(t *testing.T) {
	dir := t.TempDir()
	var out bytes.Buffer
	if err := command(t.Context(), nil, []string{"report", "-from", "testdata/report.jsonl", "-out", dir}, &out, io.Discard); err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(dir, reportText)
	if got := strings.TrimSpace(out.String()); got != name {
		t.Errorf("%q is named, not %q", got, name)
	}
	got, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	const golden = "testdata/report.md"
	if *update {
		if err := os.WriteFile(golden, got, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("the report is not what %s has:\n%s", golden, got)
	}
	checkPlots(t, dir)
}

// checkPlots fails unless every plot that the report shows is there and is XML, and says what a
// plot has to say.
func checkPlots(t *testing.T, dir string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, reportText))
	if err != nil {
		t.Fatal(err)
	}
	shown := 0
	for line := range strings.Lines(string(text)) {
		_, name, ok := strings.Cut(strings.TrimSpace(line), "](")
		if name = strings.TrimSuffix(name, ")"); !ok || !strings.HasSuffix(name, ".svg") {
			continue
		}
		shown++
		svg, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Error(err)
			continue
		}
		letters := 0
		for d := xml.NewDecoder(bytes.NewReader(svg)); ; {
			token, err := d.Token()
			if err == io.EOF {
				break
			}
			if err != nil {
				t.Errorf("%s: %v", name, err)
				break
			}
			if data, ok := token.(xml.CharData); ok {
				letters += len(data)
			}
		}
		for _, want := range []string{"<title>", "prefers-color-scheme", "class=\"ground\"", "is better", "go run ./bench"} {
			if !bytes.Contains(svg, []byte(want)) {
				t.Errorf("%s has no %q", name, want)
			}
		}
		for _, bad := range []string{"NaN", "Inf"} {
			if bytes.Contains(svg, []byte(bad)) {
				t.Errorf("%s has a %s", name, bad)
			}
		}
		if letters < 100 {
			t.Errorf("%s says nearly nothing", name)
		}
	}
	if files, _ := filepath.Glob(filepath.Join(dir, "*.svg")); len(files) != shown || shown == 0 {
		t.Errorf("%d plots are shown, and there are %d", shown, len(files))
	}
}

func TestReportGoesOnAfterACaseThatFails(t *testing.T) {
	_, all := newScripted(func(variant string, call int) (Reading, error) {
		if call == 5 {
			return Reading{}, errors.New("broken")
		}
		return steady(variant, call)
	})
	_, more := newScripted(steady)
	more[0].Name = "another"
	dir := t.TempDir()
	err := report(t.Context(), append(all, more...), []string{"-out", dir, "-dir", t.TempDir()}, io.Discard, io.Discard)
	if err == nil || !strings.Contains(err.Error(), "script: measuring") {
		t.Errorf("error %v", err)
	}
	m, err := readLinesOf(filepath.Join(dir, reportLines))
	if err != nil {
		t.Fatal(err)
	}
	if len(m.Cases) != 2 || !strings.Contains(m.Cases[0].Failed, "broken") || m.Cases[1].Failed != "" || len(m.Cases[1].Figures) != 3 {
		t.Errorf("%+v", m.Cases)
	}
	// What was measured before it failed is kept.
	if f := m.Cases[0].figure("b"); f == nil || f.N != 1 {
		t.Errorf("%+v of %+v", f, m.Cases[0])
	}
	text, err := os.ReadFile(filepath.Join(dir, reportText))
	if err != nil || !strings.Contains(string(text), "**script failed**") {
		t.Errorf("%v\n%s", err, text)
	}
	if m.Machine.Machine == "" || m.Machine.Go == "" || !strings.HasPrefix(m.Machine.Command, "go run ./bench report -out") {
		t.Errorf("%+v", m.Machine)
	}
}

func TestInterruptedReportKeepsWhatItHas(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	_, all := newScripted(steady)
	s, second := newScripted(func(variant string, call int) (Reading, error) {
		if call == 6 {
			cancel()
		}
		return steady(variant, call)
	})
	second[0].Name = "second"
	third, more := newScripted(steady)
	more[0].Name = "third"
	dir := t.TempDir()
	all = append(append(all, second...), more...)
	err := report(ctx, all, []string{"-out", dir, "-dir", t.TempDir()}, io.Discard, io.Discard)
	if !errors.Is(err, context.Canceled) || len(third.calls) != 0 || s.closed != 1 {
		t.Errorf("error %v, %v", err, third.calls)
	}
	m, err := readLinesOf(filepath.Join(dir, reportLines))
	if err != nil {
		t.Fatal(err)
	}
	if len(m.Cases) != 2 || m.Cases[0].figure("a").N != 5 || m.Cases[1].figure("a").N != 1 {
		t.Errorf("%+v", m.Cases)
	}
	if _, err := os.Stat(filepath.Join(dir, reportText)); err != nil {
		t.Error(err)
	}
}

func TestLinesThatAreNoneAreRefused(t *testing.T) {
	for text, want := range map[string]string{
		"{}\n":           "neither a machine nor a case",
		"\n\nnonsense\n": "line 3",
		`{"case":1}`:     "line 1",
		strings.Repeat(`{"case":"a","variant":"b","unit":"ns","value":1}`+"\n", 2): "b is there twice",
	} {
		if _, err := readLines(strings.NewReader(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: error %v, want one with %q", text, err, want)
		}
	}
}

func TestReportGoesOnAfterAPanic(t *testing.T) {
	_, all := newScripted(func(string, int) (Reading, error) { panic("broken on purpose") })
	_, more := newScripted(steady)
	more[0].Name = "another"
	dir := t.TempDir()
	var said bytes.Buffer
	err := report(t.Context(), append(all, more...), []string{"-out", dir, "-dir", t.TempDir()}, io.Discard, &said)
	if err == nil || !strings.Contains(err.Error(), "script: panic: broken on purpose") {
		t.Errorf("error %v", err)
	}
	m, err := readLinesOf(filepath.Join(dir, reportLines))
	if err != nil || len(m.Cases) != 2 || len(m.Cases[1].Figures) != 3 {
		t.Fatalf("error %v, %+v", err, m)
	}
	for _, want := range []string{"2 cases, about", "script: FAILED after", "another: done in"} {
		if !strings.Contains(said.String(), want) {
			t.Errorf("%q is not said in\n%s", want, &said)
		}
	}
}

// TestForecastIsRightWithinTwice on machines that are faster and slower than the trial says, while
// each case takes up to half longer or shorter than the others.
func TestForecastIsRightWithinTwice(t *testing.T) {
	var s settings
	all := cases()
	for _, machine := range []struct{ trial, truth float64 }{{1, 1}, {1, 1.6}, {3, 2}, {3, 5}, {0.5, 0.4}} {
		f := s.forecast(all)
		f.trial = machine.trial
		now := f.start
		f.now = func() time.Time { return now }
		took := map[*Case]float64{}
		left := 0.0
		for i, c := range all {
			took[c] = f.expect[c] * machine.truth * []float64{1, 0.7, 1.3}[i%3]
			left += took[c]
		}
		for _, c := range all {
			r := newRun(c, s, io.Discard)
			step := f.step(r)
			for range f.steps[c] {
				// What is left of the last minute is not worth being right about.
				if got := f.left().Seconds(); left > 60 && (got > 2*left || got < left/2) {
					t.Fatalf("%+v: in %s %v s are said to be left, and it will be %v", machine, c.Name, got, left)
				}
				step()
				took := took[c] / float64(f.steps[c])
				now = now.Add(time.Duration(took * float64(time.Second)))
				left -= took
			}
			f.finish(c)
		}
		if got := f.String(); !strings.Contains(got, "[####################] 100%, about 0 s left") {
			t.Errorf("%q at the end", got)
		}
	}
}

func TestForecastKnowsWhatIsAskedFor(t *testing.T) {
	for _, c := range cases() {
		if known := takes[c.Name]; known.full == 0 || known.quick == 0 {
			t.Errorf("nobody knows how long %s takes", c.Name)
		}
		usual, steps := (&settings{brief: true}).expect(c)
		if usual != takes[c.Name].full || steps == 0 {
			t.Errorf("%s: %v s and %d measurements are expected, want %v s", c.Name, usual, steps, takes[c.Name].full)
		}
		quick, _ := (&settings{quick: true, brief: true}).expect(c)
		larger, _ := (&settings{size: 2 * c.Size, brief: true}).expect(c)
		longer, _ := (&settings{rounds: 20, brief: true}).expect(c)
		none, _ := (&settings{only: "no variant is called so"}).expect(c)
		if quick != takes[c.Name].quick || larger <= usual || larger > 2*usual || longer < 2*usual || none > 0 {
			t.Errorf("%s: %v s, and %v s with -quick, %v s with twice the size, %v s with 20 rounds, %v s with nothing", c.Name, usual, quick, larger, longer, none)
		}
	}
	// A full report is to fit between two meals: 39 minutes, as it took on a quiet machine of two processors.
	s := settings{brief: true}
	if f := s.forecast(cases()); f.whole > 40*60 {
		t.Errorf("a report takes %.0f minutes", f.whole/60)
	}
	s.quick = true
	if f := s.forecast(cases()); f.whole > 3*60 {
		t.Errorf("a report -quick takes %.0f s", f.whole)
	}
}

// TestQuickReport measures everything there is, as the command line does.
func TestQuickReport(t *testing.T) {
	if testing.Short() {
		t.Skip("-short")
	}
	dir := t.TempDir()
	err := report(t.Context(), cases(), []string{"-quick", "-rounds", "1", "-size", "16MiB", "-out", dir, "-dir", t.TempDir()}, io.Discard, t.Output())
	if err != nil {
		t.Fatal(err)
	}
	checkPlots(t, dir)
}
