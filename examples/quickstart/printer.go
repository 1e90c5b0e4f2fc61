package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"
)

// printer tells the story: headings, figures below them, and how far a long step
// has come. On a terminal that is a bar, elsewhere now and then a line. One
// goroutine uses it.
type printer struct {
	w        io.Writer
	terminal bool
	drawn    bool      // a bar is on the screen
	redrawn  time.Time // when that was
	said     time.Time // when there was a line last
}

func newPrinter(w io.Writer) *printer {
	p := &printer{w: w}
	if f, ok := w.(*os.File); ok {
		info, err := f.Stat()
		p.terminal = err == nil && info.Mode()&os.ModeCharDevice != 0
	}
	return p
}

// clearLine goes to the start of the line and empties it.
const clearLine = "\r\x1b[K"

// heading begins a step.
func (p *printer) heading(format string, args ...any) {
	p.line("\n"+format, args...)
}

func (p *printer) line(format string, args ...any) {
	p.clear()
	fmt.Fprintf(p.w, format+"\n", args...)
	p.said = time.Now()
}

// figure prints a value with its name before it and its meaning behind it.
func (p *printer) figure(name, value, format string, args ...any) {
	p.line("  %-12s %10s  %s", name, value, fmt.Sprintf(format, args...))
}

// progress says that done of total is done. It may be called often.
func (p *printer) progress(done, total int64, what string) {
	const (
		width  = 40
		redraw = 50 * time.Millisecond
		silent = 2 * time.Second // at most, where there is no terminal
	)
	now := time.Now()
	switch {
	case done >= total: // what comes next says so
		p.clear()
	case p.terminal && now.Sub(p.redrawn) >= redraw:
		full := int(width * done / total)
		fmt.Fprintf(p.w, "%s  [%s%s] %3d%% %s", clearLine, strings.Repeat("#", full), strings.Repeat(".", width-full), 100*done/total, what)
		p.drawn, p.redrawn = true, now
	case !p.terminal && now.Sub(p.said) >= silent:
		p.figure("", fmt.Sprintf("%d%%", 100*done/total), "%s", what)
	}
}

func (p *printer) clear() {
	if p.drawn {
		p.drawn = false
		io.WriteString(p.w, clearLine)
	}
}

// last prints the last line, which must not get lost.
func (p *printer) last(line string) error {
	p.clear()
	if _, err := fmt.Fprintln(p.w, line); err != nil {
		return fmt.Errorf("printing the result: %w", err)
	}
	return nil
}
