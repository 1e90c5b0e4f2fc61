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

func TestForecastComesToItsEnd(t *testing.T) {
	_, all := newScripted(steady)
	_, more := newScripted(steady)
	all = append(all, more...)
	more[0].Size = 16 * gib
	var s settings
	f := s.forecast(all)
	now := f.start
	f.now = func() time.Time { return now }
	if got := f.String(); !strings.Contains(got, "[....................]  0%") {
		t.Errorf("%q at the beginning", got)
	}
	for _, c := range all {
		step := f.step(newRun(c, s, io.Discard))
		for range f.steps[c] {
			step()
			now = now.Add(time.Minute)
		}
		f.finish(c)
	}
	if got := f.String(); !strings.Contains(got, "[####################] 100%, about 0 s left") {
		t.Errorf("%q at the end", got)
	}
	if f.steps[all[0]] != 18 {
		t.Errorf("%d measurements are expected of six rounds of three", f.steps[all[0]])
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
