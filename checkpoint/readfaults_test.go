package checkpoint

import (
	"errors"
	"io"
	"syscall"
	"testing"
)

// failingReads fails one of the reads of an image's files, or gives a part of what is asked
// for, as a file does that has become shorter.
type failingReads struct {
	io.ReaderAt
	at    *int // counts down
	short bool
}

func (r failingReads) ReadAt(p []byte, off int64) (int, error) {
	*r.at--
	if *r.at != -1 {
		return r.ReaderAt.ReadAt(p, off)
	}
	if r.short {
		n, _ := r.ReaderAt.ReadAt(p[:len(p)/2], off)
		return n, io.EOF
	}
	return 0, syscall.EIO
}

// failRead makes the at-th read of im fail. It answers what counts them.
func failRead(im *Image, at int, short bool) *int {
	left := at
	for _, l := range im.links {
		l.r = failingReads{l.r, &left, short}
	}
	return &left
}

// TestAnyReadOfAFoldMayFail, of the file itself or of a parent: then nothing has changed, and
// what was damaged is known.
func TestAnyReadOfAFoldMayFail(t *testing.T) {
	for _, compression := range []Compression{Uncompressed, S2} {
		open := func(t *testing.T) (*Store, *Image) {
			d := openTestStore(t, t.TempDir(), StoreOptions{Keep: 1, NoFold: true, Compression: compression}, unsyncedFS{})
			chainOf(t, d, 3)
			im, err := d.Open(numberedID(2))
			if err != nil {
				t.Fatal(err)
			}
			return d, im
		}
		d, im := open(t)
		left := failRead(im, 1<<30, false)
		if _, err := d.fold(t.Context(), im); err != nil {
			t.Fatal(err)
		}
		reads := 1<<30 - *left
		for at := range reads {
			for _, short := range []bool{false, true} {
				d, im := open(t)
				failRead(im, at, short)
				_, err := d.fold(t.Context(), im)
				if _, ok := errors.AsType[*SourceError](err); !ok || short != errors.Is(err, ErrTruncated) || short == errors.Is(err, syscall.EIO) {
					t.Errorf("read %d of %d, short %v: %v", at, reads, short, err)
				}
				checkWhole(t, "after a fold that failed", d)
				checkNoLeftovers(t, "after a fold that failed", d)
				if got := files(t, d.Path()); len(got) != 3 {
					t.Errorf("read %d: left are %v", at, got)
				}
				if info, err := d.Fold(t.Context(), numberedID(2)); err != nil || info.Incremental {
					t.Errorf("again: %+v, %v", info, err)
				}
			}
		}
		t.Logf("%v: %d faults in %d reads", compression, 2*reads, reads)
	}
}

// TestAnyReadOfTheNewestMayFail: Latest gives the one before, and says why.
func TestAnyReadOfTheNewestMayFail(t *testing.T) {
	d := openTestStore(t, t.TempDir(), StoreOptions{Keep: 9, NoFold: true}, unsyncedFS{})
	save(t, d, 0)
	save(t, d, 1)
	mustSaveOn(t, d, 2, 1)
	reads := 1
	for at := 0; at < reads; at++ {
		im, skipped, err := d.Latest(func(im *Image) error {
			if im.Info().ID == numberedID(2) {
				left := failRead(im, at, at%2 == 1)
				defer func() { reads = max(reads, at-*left+1) }()
			}
			return drainImage(im)
		})
		if err != nil {
			t.Fatal(err)
		}
		if n := int(im.Info().ID[5]); (n == 2) != (len(skipped) == 0) || at+1 < reads && n == 2 {
			t.Errorf("read %d of %d: newest is %d, %v", at, reads, n, skipped)
		}
		im.Close()
	}
	if reads < 3 {
		t.Errorf("only %d reads", reads)
	}
	t.Logf("%d reads", reads)
}
