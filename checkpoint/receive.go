package checkpoint

import (
	"context"
	"io"
)

// Receive stores the checkpoint that r is at the start of, what [Write] or a file
// of another store gave, full or incremental, byte by byte as it comes. It is
// verified whole before it appears under its name, and durable when Receive
// returns; then what Keep and KeepFor do not keep is removed, as by Save. It reads
// to the checkpoint's end, not a byte further: another may follow.
//
// An incremental one whose parent is not in the store, or not as its child says,
// is refused with a [*ParentError] that names the parent that is wanted, after its
// header was read. Other errors: those of [NewReader] for what comes in,
// [*LimitError] for an arena larger than MaxSize, [*WriteError]: fs.ErrExist if
// the checkpoint is there. Nothing has changed then. An r that blocks is not
// interrupted by ctx: close it. Saves wait meanwhile.
func (s *Store) Receive(ctx context.Context, r io.Reader) (Info, error) {
	if err := s.take(ctx); err != nil {
		return Info{}, err
	}
	defer s.give()
	// What is read goes into the file, as it is; the header's bytes first wait
	// until it is known which file that is.
	tee := &tee{r: r}
	rd, err := NewReader(tee)
	if err != nil {
		return Info{}, err
	}
	info := rd.Info()
	if info.Size > s.opts.MaxSize {
		return Info{}, &LimitError{What: "arena size", Got: info.Size, Limit: s.opts.MaxSize}
	}
	path, c, err := s.claim(info.ID)
	if err != nil {
		return Info{}, err
	}
	files := []Info{{}}
	if info.Incremental {
		wanted := func(err error) error {
			return &ParentError{ID: info.ID, Parent: info.Parent, Err: err}
		}
		parents, err := c.chain(fileName(info.Parent))
		switch {
		case err != nil:
			return Info{}, wanted(err)
		case parents[0].Size != info.ParentSize:
			return Info{}, wanted(corrupt(parents[0].Path, hSize, "its arena has %d bytes, its child was made for a parent of %d", parents[0].Size, info.ParentSize))
		case len(parents) == MaxChain:
			return Info{}, &LimitError{What: "number of files in the chain of parents", Got: MaxChain + 1, Limit: MaxChain}
		}
		files = append(files, parents...)
	}
	info, err = s.writeFile(ctx, path, func(f outFile) (Info, error) {
		tee.out = &output{ctx: ctx, w: f}
		if err := tee.out.write(tee.head); err != nil {
			return Info{}, err
		}
		tee.head = nil
		for {
			_, err := rd.Next()
			if tee.err != nil {
				return Info{}, tee.err
			}
			if err == io.EOF {
				return rd.Info(), nil
			}
			if err != nil {
				return Info{}, err
			}
		}
	})
	if err != nil {
		return Info{}, err
	}
	return s.saved(path, info, files), nil
}

// tee gives what it reads to out as well, or keeps it while there is none.
type tee struct {
	r    io.Reader
	head []byte
	out  *output
	err  error // of out
}

func (t *tee) Read(p []byte) (int, error) {
	n, err := t.r.Read(p)
	if n <= 0 || n > len(p) {
		return n, err
	}
	if t.out == nil {
		t.head = append(t.head, p[:n]...)
		return n, err
	}
	if t.err = t.out.write(p[:n]); t.err != nil {
		return 0, t.err
	}
	return n, err
}
