package main

import (
	"errors"
	"maps"
	"strings"
	"testing"
	"testing/fstest"
)

func TestReadDocumentCountsWords(t *testing.T) {
	long := strings.Repeat("x", maxWord)
	for text, want := range map[string]map[string]uint32{
		"":                       {},
		" \n,.;":                 {},
		"one":                    {"one": 1},
		"one two,two\ttwo_two2":  {"one": 1, "two": 2, "two_two2": 1},
		"Case case":              {"Case": 1, "case": 1},
		"größe\xffgröße 世界":      {"größe": 2, "世界": 1},
		long + " " + long + "x ": {long: 1},
	} {
		d, err := readDocument(fstest.MapFS{"f": {Data: []byte(text)}}, "f")
		if err != nil {
			t.Errorf("%q: %v", text, err)
			continue
		}
		var total uint64
		for _, times := range want {
			total += uint64(times)
		}
		if !maps.Equal(d.words, want) || d.total != total || d.size != int64(len(text)) {
			t.Errorf("%q: %+v, want %v", text, d, want)
		}
	}
}

func TestReadDocumentLeavesOut(t *testing.T) {
	files := fstest.MapFS{
		"just right": {Data: []byte(strings.Repeat(" ", maxDocument))},
		"large":      {Data: []byte(strings.Repeat(" ", maxDocument+1))},
		"binary":     {Data: []byte("ELF\x00")},
		"late zero":  {Data: []byte(strings.Repeat(" ", binaryPrefix) + "\x00")},
	}
	for path, want := range map[string]error{"just right": nil, "large": errLarge, "binary": errBinary, "late zero": nil} {
		if _, err := readDocument(files, path); !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", path, err, want)
		}
	}
}

func TestCountsAreGrouped(t *testing.T) {
	for n, want := range map[int]string{0: "0", 999: "999", 1000: "1,000", 1234567: "1,234,567"} {
		if got := count(n); got != want {
			t.Errorf("count(%d) = %q, want %q", n, got, want)
		}
	}
}

func TestGoSourceNamesTheRemedy(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	t.Setenv("GOROOT", "")
	if dir, err := goSource(t.Context()); err == nil || !strings.Contains(err.Error(), "-dir") {
		t.Errorf("%q, %v", dir, err)
	}
}

func TestLastLineMustBePrinted(t *testing.T) {
	if err := newPrinter(failing{}).last("verified:"); err == nil {
		t.Error("no error")
	}
}

type failing struct{}

func (failing) Write([]byte) (int, error) { return 0, errors.New("gone") }
