package main

import (
	"bufio"
	"fmt"
	"io"
	"strings"

	"github.com/cowheap/cowheap/checkpoint"
)

const regionBytes = 2 << 20

func (r *inspection) writeText(w io.Writer) error {
	out := bufio.NewWriter(w)
	for i := range r.Checkpoints {
		if i > 0 {
			fmt.Fprintln(out)
		}
		r.Checkpoints[i].writeText(out)
	}
	return out.Flush()
}

func (c *checkpointReport) writeText(w io.Writer) {
	fmt.Fprintln(w, printable(c.Path))
	if c.Error != "" {
		writeWrapped(w, 2, "damaged or unreadable: ", printableLines(c.Error))
		return
	}
	line := func(name, format string, args ...any) {
		fmt.Fprintf(w, "  %-8s %s\n", name, fmt.Sprintf(format, args...))
	}
	line("id", "%s, written %s", c.ID, c.Time.UTC().Format("2006-01-02 15:04:05.000 MST"))
	if c.Parent != "" {
		line("parent", "%s", c.Parent)
	}
	kind := "full"
	if c.Incremental {
		kind = fmt.Sprintf("incremental, the state is in %d files of %s", c.Chain, formatBytes(c.ChainBytes))
	}
	if c.Compressed {
		kind += ", compressed"
	}
	if c.Sparse {
		kind += ", with sparse blocks"
	}
	line("kind", "%s", kind)
	line("arena", "%s (%d bytes)", formatBytes(c.Size), c.Size)
	line("file", "%s: %d pages of 4096 bytes in %d blocks", formatBytes(c.Bytes), c.Pages, c.Blocks)
	line("roots", "%d", len(c.Roots))
	for _, r := range c.Roots {
		fmt.Fprintf(w, "    %q at %#x: %s, %d bytes\n", r.Name, r.Offset, r.Type, r.Size)
		for i, t := range r.layout {
			for _, f := range t.Fields {
				name := printable(f.Name)
				if i > 0 { // of a type that the root refers to
					name = printable(t.Name) + "." + name
				}
				fmt.Fprintf(w, "      %6d  %s %s\n", f.Offset, name, typeText(r.layout, f.Type))
			}
		}
	}
	c.writeMap(w)
}

// mapSigns are for no page, up to a quarter, half, less than all, and all of a piece.
const mapSigns = ".-=+#"

// writeMap draws where there is something, a sign for 2 MiB or for a multiple of that.
func (c *checkpointReport) writeMap(w io.Writer) {
	const columns, lines = 64, 16
	each := 1
	for len(c.Regions) > each*columns*lines {
		each *= 2
	}
	fmt.Fprintf(w, "  pages    a sign for %s: %s none, up to a quarter, half, less than all, all\n",
		formatBytes(int64(each)*regionBytes), mapSigns)
	var b strings.Builder
	for at := 0; at < len(c.Regions); at += each {
		if at/each%columns == 0 {
			fmt.Fprintf(&b, "\n    %12x  ", at*regionBytes)
		}
		piece := c.Regions[at:min(at+each, len(c.Regions))]
		sum := 0
		for _, n := range piece {
			sum += n
		}
		full := len(piece) * regionBytes
		if at+each >= len(c.Regions) { // the last region may be cut short
			full -= len(c.Regions)*regionBytes - int(c.Size)
		}
		sign := 0
		switch {
		case sum >= full:
			sign = 4
		case sum > full/2:
			sign = 3
		case sum > full/4:
			sign = 2
		case sum > 0:
			sign = 1
		}
		b.WriteByte(mapSigns[sign])
	}
	fmt.Fprintln(w, strings.TrimPrefix(b.String(), "\n"))
}

// typeText is a type as Go has it, as far as a layout tells. References of a layout were checked when it was
// read, but may lead in circles.
func typeText(l checkpoint.Layout, i int) string { return typeNested(l, i, 4) }

func typeNested(l checkpoint.Layout, i, depth int) string {
	if i < 0 || i >= len(l) || depth == 0 {
		return "..."
	}
	t := &l[i]
	elem := func() string { return typeNested(l, t.Elem, depth-1) }
	kind := printable(t.Kind)
	switch t.Kind {
	case "struct":
		return printable(t.Name)
	case "array":
		return fmt.Sprintf("[%d]%s", t.Len, elem())
	}
	switch {
	case t.Key >= 0:
		return kind + "[" + typeNested(l, t.Key, depth-1) + ", " + elem() + "]"
	case t.Elem >= 0:
		return kind + "[" + elem() + "]"
	}
	return kind
}
