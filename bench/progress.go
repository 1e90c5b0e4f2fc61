package main

import (
	"fmt"
	"io"
	"os"
)

// progress is one line on a terminal that says what is going on. Where there is
// no terminal it is silent.
type progress struct {
	w    io.Writer // nil: silent
	said bool
	// ahead says what stands before everything that is said; nil: nothing.
	ahead func() string
}

func newProgress(w io.Writer) *progress {
	if f, ok := w.(*os.File); ok {
		if info, err := f.Stat(); err == nil && info.Mode()&os.ModeCharDevice != 0 {
			return &progress{w: w}
		}
	}
	return &progress{}
}

// beginLine goes to the start of the line and empties it.
const beginLine = "\r\x1b[K"

func (p *progress) say(format string, args ...any) {
	if p.w != nil {
		p.said = true
		ahead := ""
		if p.ahead != nil {
			ahead = p.ahead()
		}
		fmt.Fprint(p.w, beginLine, ahead, fmt.Sprintf(format, args...))
	}
}

// clear leaves the line empty.
func (p *progress) clear() {
	if p.w != nil && p.said {
		p.said = false
		io.WriteString(p.w, beginLine)
	}
}
