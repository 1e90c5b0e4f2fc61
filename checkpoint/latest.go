package checkpoint

import (
	"errors"
	"io/fs"
	"path/filepath"
	"syscall"
)

// Latest opens the newest usable checkpoint. One that is damaged is passed over
// for the next older; skipped says which and why, a [*SkippedError] each, newest
// first. If there is none at all the error is ErrNotFound; if all are damaged, an
// [*AllDamagedError].
//
// Opening verifies header, index and trailer. try, if not nil, goes further: it
// gets each candidate and may read all of it, which is how an eager restore
// verifies every page, or see [Image.Verify]. An error from it that is ErrCorrupt
// (or EIO, a bad sector) passes the candidate over, too. Latest closes what it
// does not return.
//
// Everything else ends the search with the error as it is: no memory, no
// permission, a cancelled context, a checkpoint of another version or larger
// than MaxSize. An older checkpoint is no answer to these.
func (s *Store) Latest(try func(*Image) error) (im *Image, skipped []error, err error) {
	if err := s.checkOpen(); err != nil {
		return nil, nil, err
	}
	// A concurrent Save may remove what was listed, after it has put something
	// newer there: list again. What is listed each time and never there (a link
	// to nothing) counts as damaged in the end.
	for range relists {
		if im, skipped, err = s.latest(try, false); !errors.Is(err, errVanished) {
			return im, skipped, err
		}
	}
	return s.latest(try, true)
}

// relists is how often Latest lists again: a Save has to finish between any two.
const relists = 5

// errVanished: a checkpoint is no longer where the listing saw it.
var errVanished = errors.New("checkpoint was removed meanwhile")

func (s *Store) latest(try func(*Image) error, final bool) (*Image, []error, error) {
	names, err := s.names()
	if err != nil {
		return nil, nil, err
	}
	if len(names) == 0 {
		return nil, nil, wrapDir("searching", s.path, ErrNotFound)
	}
	var skipped []error
	for _, name := range names {
		path := filepath.Join(s.path, name)
		im, err := s.open(name)
		if errors.Is(err, fs.ErrNotExist) {
			if !final {
				return nil, nil, errVanished
			}
			err = corrupt(path, 0, "the name is there, the file is not")
		}
		if err == nil && try != nil {
			if err = try(im); err != nil {
				im.Close()
			}
		}
		if err == nil {
			s.judge(name, true)
			return im, skipped, nil
		}
		err = &SkippedError{Path: path, Err: err}
		if !isDamage(err) {
			return nil, skipped, err
		}
		s.judge(name, false)
		skipped = append(skipped, err)
	}
	return nil, skipped, &AllDamagedError{Path: s.path, Skipped: skipped}
}

// List describes the checkpoints, newest first, and those that cannot be opened
// in skipped, a [*SkippedError] each. It verifies headers, indexes and trailers,
// not the pages.
func (s *Store) List() (infos []Info, skipped []error, err error) {
	if err := s.checkOpen(); err != nil {
		return nil, nil, err
	}
	names, err := s.names()
	if err != nil {
		return nil, nil, err
	}
	for _, name := range names {
		im, err := s.open(name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			skipped = append(skipped, &SkippedError{Path: filepath.Join(s.path, name), Err: err})
			continue
		}
		infos = append(infos, im.Info())
		im.Close()
	}
	return infos, skipped, nil
}

// open opens a checkpoint of the directory. Its name must be its ID: the order
// rests on it.
func (s *Store) open(name string) (*Image, error) {
	path := filepath.Join(s.path, name)
	im, err := OpenImageMax(path, s.opts.MaxSize)
	if err != nil {
		return nil, err
	}
	if id := im.Info().ID; fileName(id) != name {
		return nil, errors.Join(corrupt(path, hID, "the file has the name of another checkpoint, its ID is %s", id), im.Close())
	}
	return im, nil
}

// isDamage reports whether an error means that the checkpoint cannot be had, as
// opposed to not here, not now or not by this program.
func isDamage(err error) bool {
	return errors.Is(err, ErrCorrupt) || errors.Is(err, syscall.EIO)
}
