package main

import (
	"fmt"
	"io"
	"os"
	"time"
)

// printer tells how the game goes. One goroutine uses it.
type printer struct {
	w        io.Writer
	terminal bool
	drawn    bool
	said     time.Time // progress, last
}

func newPrinter(w io.Writer) *printer {
	p := &printer{w: w, said: time.Now()}
	if f, ok := w.(*os.File); ok {
		info, err := f.Stat()
		p.terminal = err == nil && info.Mode()&os.ModeCharDevice != 0
	}
	return p
}

func (p *printer) line(format string, args ...any) {
	p.clear()
	fmt.Fprintf(p.w, format+"\n", args...)
}

// figure prints a value with its name before it and its meaning behind it.
func (p *printer) figure(name, value, format string, args ...any) {
	p.line("  %-10s %10s  %s", name, value, fmt.Sprintf(format, args...))
}

// progress says that the game has come to a frame: on a terminal often and on one line.
func (p *printer) progress(frame, total int) {
	every := 5 * time.Second
	if p.terminal {
		every = 200 * time.Millisecond
	}
	if time.Since(p.said) < every || frame >= total {
		return
	}
	p.said = time.Now()
	if !p.terminal {
		p.line("  frame %d of %d", frame, total)
		return
	}
	fmt.Fprintf(p.w, "%s  frame %d of %d", clearLine, frame, total)
	p.drawn = true
}

// clearLine goes to the start of the line and empties it.
const clearLine = "\r\x1b[K"

func (p *printer) clear() {
	if p.drawn {
		p.drawn = false
		io.WriteString(p.w, clearLine)
	}
}

// last prints the last line, which must not get lost.
func (p *printer) last(format string, args ...any) error {
	p.clear()
	if _, err := fmt.Fprintf(p.w, format+"\n", args...); err != nil {
		return fmt.Errorf("printing the result: %w", err)
	}
	return nil
}
