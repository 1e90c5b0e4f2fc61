package main

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
)

// writeReport leaves the text and the plots of measurements in a directory.
func writeReport(dir string, m *measurements) error {
	var b strings.Builder
	b.WriteString("# What cowheap costs\n\n")
	m.writeHead(&b)
	m.writeLimits(&b)
	for _, c := range m.Cases {
		fmt.Fprintf(&b, "## %s: %s\n\n", c.Case, c.About)
		if c.Failed != "" {
			fmt.Fprintf(&b, "**Failed** after %s s: %s\n\n", shortNumber(c.Seconds), escape(c.Failed))
		}
		c.writeFindings(&b)
		for _, p := range plotsOf(c) {
			if p.height == 0 {
				continue
			}
			if err := writePlot(dir, p, m.foot(c)); err != nil {
				return err
			}
			fmt.Fprintf(&b, "![%s](%s.svg)\n\n", p.heading(), p.file)
		}
		c.writeFits(&b)
		c.writeFigures(&b)
	}
	return os.WriteFile(filepath.Join(dir, reportText), []byte(b.String()), 0o666)
}

func writePlot(dir string, p *plot, foot []string) (err error) {
	file, err := os.Create(filepath.Join(dir, p.file+".svg"))
	if err != nil {
		return err
	}
	defer func() {
		if e := file.Close(); err == nil {
			err = e
		}
	}()
	return p.write(file, foot)
}

// foot is what stands below a plot.
func (m *measurements) foot(c *measuredCase) []string {
	var foot []string
	if m.Machine.Machine != "" {
		foot = append(foot, m.Machine.String(), fmt.Sprintf("%s UTC, load %s. %s (case %s)", m.Machine.Time, shortNumber(m.Machine.Load), m.Machine.Command, c.Case))
	} else {
		foot = append(foot, "go run ./bench "+c.Case)
	}
	if c.quick() {
		foot = append(foot, "-quick: this shows that it runs; the figures mean nothing.")
	}
	return foot
}

// quick tells whether the figures mean nothing.
func (c *measuredCase) quick() bool {
	for _, f := range c.Figures {
		if f.Quick {
			return true
		}
	}
	return false
}

// writeHead says where, how and what went wrong.
func (m *measurements) writeHead(b *strings.Builder) {
	if m.Machine.Machine != "" {
		fmt.Fprintf(b, "%s UTC, `%s`.\n%s. The load of the machine was %s when it began.\n\n",
			m.Machine.Time, m.Machine.Command, m.Machine, shortNumber(m.Machine.Load))
		if m.Machine.Load > float64(m.Machine.CPUs)/2 {
			b.WriteString("**Measured on a loaded machine**: other programs ran besides. Ratios of one case may still be of use, figures are not.\n\n")
		}
	}
	quick, failed, seconds := false, 0, 0.0
	for _, c := range m.Cases {
		quick = quick || c.quick()
		seconds += c.Seconds
		if c.Failed != "" {
			failed++
			fmt.Fprintf(b, "**%s failed**: %s\n\n", c.Case, escape(c.Failed))
		}
	}
	if quick {
		b.WriteString("**-quick**: this shows that everything runs; the figures mean nothing.\n\n")
	}
	b.WriteString("Figures are medians over rounds, in which all variants of a case take turns. Ratios are what to keep: they are to what stands in the " +
		"same row, measured in the same minutes.\n")
	fmt.Fprintf(b, "What is measured how, and what is not, stands at the top of the file of each case in `bench/`. The lines that this is made from are in %s: "+
		"`go run ./bench report -from %[1]s` makes it again.\n\n", reportLines)
	if seconds > 0 {
		b.WriteString("| case | took | what |\n|---|---:|---|\n")
		for _, c := range m.Cases {
			fmt.Fprintf(b, "| [%s](#%s) | %s | %s |\n", c.Case, anchor(c.Case+": "+c.About), shortNumber(c.Seconds)+" s", cell(c.About))
		}
		b.WriteString("\n")
	}
}

// anchor is how GitHub calls a heading: letters, digits and hyphens.
func anchor(heading string) string {
	var b strings.Builder
	for _, r := range strings.ToLower(heading) {
		switch {
		case r == ' ', r == '-':
			b.WriteByte('-')
		case 'a' <= r && r <= 'z', '0' <= r && r <= '9':
			b.WriteRune(r)
		}
	}
	return b.String()
}

// cell is text in a table.
func cell(s string) string { return strings.ReplaceAll(s, "|", `\|`) }

// writeFigures is a table of all figures, then what was skipped and the bounds.
func (c *measuredCase) writeFigures(b *strings.Builder) {
	if len(c.Figures) > 0 {
		fmt.Fprintf(b, "<details><summary>%d figures</summary>\n\n| variant | unit | median | min | max | n | ratio |\n|---|---|---:|---:|---:|---:|---|\n", len(c.Figures))
		for _, f := range c.Figures {
			fmt.Fprintf(b, "| %s | %s | %s | %s | %s | %d | %s |\n", f.Variant, f.Unit,
				formatValue(f.Value), formatValue(f.Min), formatValue(f.Max), f.N, c.ratio(f))
		}
		b.WriteString("\n</details>\n\n")
	}
	for _, s := range c.Skipped {
		fmt.Fprintf(b, "- skipped: %s: %s\n", s.Variant, s.Skipped)
	}
	for _, v := range c.Bounds {
		verdict := "ok"
		if !v.OK {
			verdict = "**missed**"
		}
		fmt.Fprintf(b, "- bound: %s: %s %s\n", v.Bound, formatRatio(v.Got), verdict)
	}
	if len(c.Skipped)+len(c.Bounds) > 0 {
		b.WriteString("\n")
	}
}

// ratio is a figure beside its reference, "" if there is none.
func (c *measuredCase) ratio(f figureLine) string {
	ref := c.figure(f.Reference)
	if ref == nil || f.Reference == f.Variant || ref.Value == 0 {
		return ""
	}
	return formatRatio(f.Value/ref.Value) + " x " + f.Reference
}

// farSizes are those that lines are drawn to by arithmetic, in bytes.
var farSizes = []float64{64 * gib, 256 * gib, 1 << 40}

// writeFits is how figures grow, if they do with something.
func (c *measuredCase) writeFits(b *strings.Builder) {
	if c.Case == "frames" || c.Case == "rollback" || c.Case == "checkpoint-tax" {
		return // the last part of their names is not what grows
	}
	for unit, of := range byUnit(c.Figures) {
		grown, _, _ := seriesOf(of)
		c.writeFitsOf(b, grown, unit, true)
		c.writeFitsOf(b, grown, unit, false)
	}
}

// writeFitsOf is the lines by size, or those by number.
func (c *measuredCase) writeFitsOf(b *strings.Builder, grown []series, unit string, sizes bool) {
	head := false
	for _, s := range grown {
		if len(s.points) < 4 || (s.points[0].x >= mib) != sizes {
			continue
		}
		if !head {
			head = true
			fmt.Fprintf(b, "Lines through the medians (%s), by least squares; the largest residual and where it is.", unit)
			if sizes {
				b.WriteString(" The last columns are arithmetic, no measurement: the line, drawn on; \"no line\" where it falls, or R² is below 0.9.\n\n| | a + b GiB | R² | residual | 64 GiB | 256 GiB | 1 TiB |\n|---|---|---:|---:|---:|---:|---:|\n")
			} else {
				b.WriteString("\n\n| | a + b n | R² | residual |\n|---|---|---:|---:|\n")
			}
		}
		f := fitLine(s.points)
		step, at := 1.0, shortNumber(f.at)
		if sizes {
			step, at = gib, formatSize(f.at)
		}
		r2 := "?"
		if !math.IsNaN(f.r2) {
			r2 = fmt.Sprintf("%.3f", f.r2)
		}
		fmt.Fprintf(b, "| %s | %s %s each | %s | %s at %s |", s.name, formatUnit(f.a, unit), signed(f.b*step, unit), r2, formatUnit(f.residual, unit), at)
		if sizes {
			for _, x := range farSizes {
				if f.poor() {
					b.WriteString(" no line |")
				} else {
					fmt.Fprintf(b, " %s |", formatUnit(f.y(x), unit))
				}
			}
		}
		b.WriteString("\n")
	}
	if head {
		b.WriteString("\n")
	}
}

func signed(v float64, unit string) string {
	if v < 0 {
		return "- " + formatUnit(-v, unit)
	}
	return "+ " + formatUnit(v, unit)
}
