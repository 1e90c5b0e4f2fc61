package main

import (
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// printable is s, or s with escapes if a terminal could take a part of it for a command: names in files, and of
// files, are anybody's.
func printable(s string) string {
	if utf8.ValidString(s) && strings.IndexFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }) < 0 {
		return s
	}
	quoted := strconv.Quote(s)
	return quoted[1 : len(quoted)-1]
}

// printableLines leaves the ends of lines.
func printableLines(s string) string {
	lines := strings.Split(s, "\n")
	for i, line := range lines {
		lines[i] = printable(line)
	}
	return strings.Join(lines, "\n")
}
