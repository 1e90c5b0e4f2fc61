package main

import (
	"encoding/json"
	"fmt"
	"io"
)

// output is what a command has found, with JSON tags for programs, and text for people.
type output interface {
	writeText(w io.Writer) error
}

// printOutput prints one form of it or the other.
func printOutput(w io.Writer, o output, asJSON bool) error {
	var err error
	if asJSON {
		err = writeJSON(w, o)
	} else {
		err = o.writeText(w)
	}
	if err != nil {
		return fmt.Errorf("printing: %w", err)
	}
	return nil
}

func writeJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}
