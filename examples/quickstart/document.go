package main

import (
	"bytes"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"strings"
	"unicode"
)

// Files that are left out.
var (
	errBinary = errors.New("binary")
	errLarge  = fmt.Errorf("larger than %d MiB", maxDocument>>20)
)

const (
	// maxDocument bounds what one Update adds, for which a snapshot waits.
	maxDocument = 8 << 20
	// maxWord is in bytes; what is longer is data and no word.
	maxWord = 100
	// binaryPrefix is how far to look for a zero byte, which text has none of.
	binaryPrefix = 8000
)

// document is one file, read and counted, in ordinary Go memory.
type document struct {
	path  string
	size  int64
	sum   uint32 // CRC-32 of the text, to see whether the file changes later
	words map[string]uint32
	total uint64 // words, each as often as it occurs
}

// readDocument reads a file and counts its words. The errors that callers test
// for are errBinary and errLarge.
func readDocument(fsys fs.FS, path string) (*document, error) {
	f, err := fsys.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxDocument+1))
	switch {
	case err != nil:
		return nil, err
	case bytes.IndexByte(text[:min(len(text), binaryPrefix)], 0) >= 0:
		return nil, errBinary
	case len(text) > maxDocument:
		return nil, errLarge
	}
	d := &document{path: path, size: int64(len(text)), sum: crc32.ChecksumIEEE(text), words: make(map[string]uint32)}
	for word := range strings.FieldsFuncSeq(string(text), betweenWords) {
		if len(word) <= maxWord {
			d.words[word]++
			d.total++
		}
	}
	return d, nil
}

// betweenWords reports whether r is part of no word.
func betweenWords(r rune) bool {
	return r != '_' && !unicode.IsLetter(r) && !unicode.IsDigit(r)
}
