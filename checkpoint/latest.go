package checkpoint

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"

	"github.com/google/uuid"
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
		if (errors.Is(err, fs.ErrNotExist) || errors.Is(err, ErrNoParent)) && !final {
			return nil, nil, errVanished
		}
		if errors.Is(err, fs.ErrNotExist) {
			err = corrupt(path, 0, "the name is there, the file is not")
		}
		if err == nil && try != nil {
			if err = try(im); err != nil {
				im.Close()
			}
		}
		if err == nil {
			s.vouch(name, im.links[0].header.info)
			return im, skipped, nil
		}
		err = &SkippedError{Path: path, Err: err}
		if !isDamage(err) {
			return nil, skipped, err
		}
		s.judge(name, err)
		skipped = append(skipped, err)
	}
	return nil, skipped, &AllDamagedError{Path: s.path, Skipped: skipped}
}

// List describes the checkpoints, newest first, and those that cannot be opened
// in skipped, a [*SkippedError] each. It verifies headers, indexes and trailers,
// and that parents are there, not the pages.
func (s *Store) List() (infos []Info, skipped []error, err error) {
	if err := s.checkOpen(); err != nil {
		return nil, nil, err
	}
	// A parent may go when a fold has made its child full, and anything when there is
	// something newer: look again, in any case until there is something.
	for round := 1; ; round++ {
		var gone bool
		infos, skipped, gone, err = s.list()
		gone = gone || slices.ContainsFunc(skipped, func(err error) bool { return errors.Is(err, ErrNoParent) })
		if err != nil || !gone || round >= relists && len(infos)+len(skipped) > 0 {
			return infos, skipped, err
		}
	}
}

// list answers gone if something has gone since the directory was listed.
func (s *Store) list() (infos []Info, skipped []error, gone bool, err error) {
	names, err := s.names()
	if err != nil {
		return nil, nil, false, err
	}
	// Not from memory: a file may have changed since.
	c := &catalog{names: names, cards: make(map[string]card, len(names))}
	for _, name := range names {
		known := s.look(name)
		if errors.Is(known.err, fs.ErrNotExist) {
			path := filepath.Join(s.path, name)
			if _, err := os.Lstat(path); err != nil {
				gone = true
				continue
			}
			known.err = corrupt(path, 0, "the name is there, the file is not")
		}
		c.cards[name] = known
	}
	for _, name := range names {
		if _, there := c.cards[name]; !there {
			continue
		}
		files, err := c.chain(name)
		if err != nil {
			skipped = append(skipped, &SkippedError{Path: filepath.Join(s.path, name), Err: err})
			continue
		}
		infos = append(infos, describe(files))
	}
	return infos, skipped, gone, nil
}

// Open opens the checkpoint with this ID: ErrNotFound if there is none, else the
// errors of [OpenImage].
func (s *Store) Open(id uuid.UUID) (im *Image, err error) {
	if err := s.checkOpen(); err != nil {
		return nil, err
	}
	// A parent may go when a Save has made the child go, or a fold has made it full.
	for range relists {
		if im, err = s.open(fileName(id)); !errors.Is(err, ErrNoParent) {
			break
		}
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil, wrapDir("looking for "+id.String()+" in", s.path, ErrNotFound)
	}
	return im, err
}

// Verify reads the checkpoint with this ID and its parents and verifies every
// byte. progress, if not nil, is told how many bytes were read of how many. One
// that is damaged does not count any more when others are pruned. Errors: those
// of Open, [Image.Verify], and ctx's.
func (s *Store) Verify(ctx context.Context, id uuid.UUID, progress func(done, total int64)) error {
	im, err := s.Open(id)
	if err == nil {
		err = errors.Join(im.Verify(ctx, progress), im.Close())
	}
	if err != nil && isDamage(err) {
		s.judge(fileName(id), err)
	}
	return err
}

// isDamage reports whether an error means that the checkpoint cannot be had, as
// opposed to not here, not now or not by this program.
func isDamage(err error) bool {
	return errors.Is(err, ErrCorrupt) || errors.Is(err, ErrNoParent) || errors.Is(err, syscall.EIO)
}
