package restore

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Names. A touched set stands beside its checkpoint, under the same name with another ending. Names that a
// checkpoint.Store gives have nameDigits digits before that, and sort by age; what has another name is left alone.
const (
	checkpointEnding = ".cowheap"
	touchedEnding    = ".touched"
	touchedTemp      = touchedEnding + ".tmp"
	nameDigits       = 32
)

// touchedPath is where the set of the checkpoint at path stands.
func touchedPath(path string) string {
	return strings.TrimSuffix(path, checkpointEnding) + touchedEnding
}

// readTouched finds the set that was learned of the checkpoint at path, or of the newest before it that has
// one. No set is no error; ErrTouched, or what the system says of a file that cannot be read.
func readTouched(path string) ([]uint32, error) {
	if pages, err := readTouchedFile(touchedPath(path)); !errors.Is(err, fs.ErrNotExist) {
		return pages, err
	}
	names, err := endingWith(filepath.Dir(path), touchedEnding)
	if err != nil {
		return nil, fmt.Errorf("looking for sets of touched pages: %w", err)
	}
	limit := filepath.Base(touchedPath(path))
	for _, name := range slices.Backward(names) {
		if name <= limit {
			return readTouchedFile(filepath.Join(filepath.Dir(path), name))
		}
	}
	return nil, nil
}

func readTouchedFile(path string) ([]uint32, error) {
	// Opening a named pipe would wait for a writer.
	if st, err := os.Lstat(path); err != nil {
		return nil, err
	} else if !st.Mode().IsRegular() {
		return nil, fmt.Errorf("%s: %w: not a regular file", path, ErrTouched)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, int64(touchedSize(maxTouched))+1))
	if err != nil {
		return nil, err
	}
	pages, err := decodeTouched(b)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return pages, nil
}

// writeTouched replaces the set of the checkpoint at path. After a crash it is the old one, the new one or a
// damaged one.
func writeTouched(path string, pages []uint32) (err error) {
	final := touchedPath(path)
	temp := strings.TrimSuffix(final, touchedEnding) + touchedTemp
	defer func() {
		if err != nil {
			err = fmt.Errorf("saving the set of touched pages: %w", err)
			_ = os.Remove(temp)
		}
	}()
	_ = os.Remove(temp) // of a crash; else the next line would follow a link
	f, err := os.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(encodeTouched(pages))
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(temp, final)
}

// TidyTouched removes the touched sets of checkpoints that are not in dir any more, and what a crash left of
// them. The newest set outlives its checkpoint: it goes on under the name of the newest checkpoint.
func TidyTouched(dir string) error {
	sets, err := endingWith(dir, touchedEnding)
	if err != nil {
		return err
	}
	leftovers, err := endingWith(dir, touchedTemp)
	if err != nil || len(sets)+len(leftovers) == 0 {
		return err
	}
	checkpoints, err := endingWith(dir, checkpointEnding)
	if err != nil {
		return err
	}
	var errs []error
	there := func(name string) bool { return slices.Contains(checkpoints, name[:nameDigits]+checkpointEnding) }
	for _, name := range leftovers {
		if there(name) {
			continue // it may be being written
		}
		if err := os.Remove(filepath.Join(dir, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	for i, name := range sets {
		if there(name) {
			continue
		}
		path := filepath.Join(dir, name)
		if i == len(sets)-1 && len(checkpoints) > 0 {
			err = os.Rename(path, touchedPath(filepath.Join(dir, checkpoints[len(checkpoints)-1])))
		} else {
			err = os.Remove(path)
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// endingWith is the names in dir that a store could have given and that end so, ascending.
func endingWith(dir, ending string) (names []string, err error) {
	entries, err := os.ReadDir(dir)
	for _, e := range entries {
		digits, ok := strings.CutSuffix(e.Name(), ending)
		if ok && len(digits) == nameDigits && strings.Trim(digits, "0123456789abcdef") == "" {
			names = append(names, e.Name())
		}
	}
	return names, err
}
