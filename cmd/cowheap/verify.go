package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"

	"github.com/cowheap/cowheap/checkpoint"
)

const verifyUsage = `Usage: cowheap verify [-json] FILE|DIR

Reads a checkpoint, or each of a directory, newest first, and the parents that it needs, and verifies every checksum. Changes
nothing, and may run beside the program that has the directory open.

Exit status:
  0  every byte is what was written
  1  a checkpoint is damaged or cannot be read
  2  wrong usage
`

// verification is what verify says. Its JSON is read by programs, see report.
type verification struct {
	Schema      int          `json:"schema"`
	Checkpoints []fileResult `json:"checkpoints"`
}

type fileResult struct {
	Path    string `json:"path"`
	OK      bool   `json:"ok"`
	Damaged bool   `json:"damaged"` // the bytes are not what was written; else it could not be read, or not by this version
	Bytes   int64  `json:"bytes"`   // verified, in all files of its chain
	Error   string `json:"error,omitempty"`
}

func runVerify(args []string, stdout, stderr io.Writer) error {
	set, asJSON := newCommand("verify", verifyUsage)
	got, err := parse(set, args, stdout, stderr, "FILE|DIR")
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	r := verification{Schema: 1}
	var errs []error
	r.Checkpoints, errs, err = eachCheckpoint(ctx, got[0], func(path string) (fileResult, error) {
		f, err := verifyFile(ctx, path, newBar(stderr, printable(path)))
		if err != nil {
			f.Error, f.Damaged = err.Error(), errors.Is(err, checkpoint.ErrCorrupt)
		}
		f.OK = err == nil
		return f, err
	})
	if err != nil {
		return err
	}
	if err := printOutput(stdout, &r, *asJSON); err != nil {
		return err
	}
	return errors.Join(errs...)
}

func verifyFile(ctx context.Context, path string, b *bar) (f fileResult, err error) {
	f.Path = path
	im, err := openImage(path)
	if err != nil {
		return f, err
	}
	defer func() { err = errors.Join(err, im.Close()) }()
	defer b.end()
	if err := im.Verify(ctx, b.show); err != nil {
		return f, err
	}
	f.Bytes = im.Info().ChainBytes
	return f, nil
}

func (r *verification) writeText(w io.Writer) error {
	for _, f := range r.Checkpoints {
		says := "ok, " + formatBytes(f.Bytes)
		switch {
		case f.Damaged:
			says = "DAMAGED"
		case !f.OK:
			says = "CANNOT BE READ"
		}
		if _, err := fmt.Fprintf(w, "%s: %s\n", printable(f.Path), says); err != nil {
			return err
		}
	}
	return nil
}

// bar is a line on a terminal that shows how far something is.
type bar struct {
	w     io.Writer // nil: nobody looks
	what  string
	drawn int // percent; -1: nothing yet
}

// newBar draws on w if that is a terminal.
func newBar(w io.Writer, what string) *bar {
	b := &bar{what: what, drawn: -1}
	if f, ok := w.(*os.File); ok {
		if st, err := f.Stat(); err == nil && st.Mode()&os.ModeCharDevice != 0 {
			b.w = w
		}
	}
	return b
}

func (b *bar) show(done, total int64) {
	if b.w == nil || total <= 0 {
		return
	}
	const width = 40
	percent := int(done * 100 / total)
	if percent == b.drawn {
		return
	}
	b.drawn = percent
	n := percent * width / 100
	fmt.Fprintf(b.w, "\r[%s%s] %3d %% %s", strings.Repeat("#", n), strings.Repeat(" ", width-n), percent, b.what)
}

// end clears the line.
func (b *bar) end() {
	if b.drawn >= 0 {
		fmt.Fprint(b.w, "\r\x1b[K")
	}
}
