package checkpoint

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
)

// faultFS is the real file system with a log, a fault at one operation, and a
// memory of what would survive a crash of the machine.
//
// It models a disk that keeps what was synced and nothing else for certain: of a
// file that was not synced any part may be there, of the names changed since the
// directory was synced any of the changes: file systems promise no order.
type faultFS struct {
	osFilesystem
	log     []string
	failAt  int                              // number of the operation that fails, -1: none
	failIf  func(op *operation) bool         // those that fail besides, if not nil
	fail    func(op *operation) (int, error) // what happens then
	before  func(op *operation)              // is told of each operation, if not nil
	crashed bool
	free    *int64 // what Free answers, if not nil

	files   map[string]*inode // by current name
	durable map[string]*inode // names as of the last SyncDir
	pending []func(names map[string]*inode)
}

// operation is what a fault may look at.
type operation struct {
	what string
	name string // of the file that is written or closed
	data []byte // of a write
}

// inode is a file's content.
type inode struct {
	data   []byte
	inRow  []byte // the same without what was written in place since the last sync, nil if nothing was
	synced int    // bytes certain to be on disk, -1 if not even its length is
}

var errCrashed = errors.New("the machine has crashed")

func newFaultFS() *faultFS {
	return &faultFS{failAt: -1, files: map[string]*inode{}, durable: map[string]*inode{}}
}

// step logs an operation and decides its fate. n < 0 means all of it is done.
func (fs *faultFS) step(op *operation) (n int, err error) {
	if fs.crashed {
		return 0, errCrashed
	}
	at := len(fs.log)
	fs.log = append(fs.log, op.what)
	if fs.before != nil {
		fs.before(op)
	}
	if at == fs.failAt || fs.failIf != nil && fs.failIf(op) {
		return fs.fail(op)
	}
	return -1, nil
}

func (fs *faultFS) MakeDir(dir string) error {
	if _, err := fs.step(&operation{what: "make directory"}); err != nil {
		return err
	}
	return fs.osFilesystem.MakeDir(dir)
}

func (fs *faultFS) Lock(dir string) (io.Closer, error) {
	if _, err := fs.step(&operation{what: "lock"}); err != nil {
		return nil, err
	}
	lock, err := fs.osFilesystem.Lock(dir)
	return faultLock{fs, lock}, err
}

// faultLock is given back even if that is said to fail: the process that is gone has no lock.
type faultLock struct {
	fs   *faultFS
	lock io.Closer
}

func (l faultLock) Close() error {
	_, err := l.fs.step(&operation{what: "unlock"})
	return errors.Join(err, l.lock.Close())
}

func (fs *faultFS) Names(dir string) ([]string, error) {
	if _, err := fs.step(&operation{what: "list directory"}); err != nil {
		return nil, err
	}
	return fs.osFilesystem.Names(dir)
}

// shortName is a path as golden files have it: without the directory, which has
// another name each time.
func shortName(path string) string {
	return filepath.Base(path)
}

func (fs *faultFS) Create(path string) (outFile, error) {
	if _, err := fs.step(&operation{what: "create " + shortName(path)}); err != nil {
		return nil, err
	}
	f, err := fs.osFilesystem.Create(path)
	if err != nil {
		return nil, err
	}
	node := &inode{synced: -1}
	fs.change(func(names map[string]*inode) { names[path] = node })
	return &faultFile{fs: fs, f: f, node: node, name: shortName(path)}, nil
}

func (fs *faultFS) Rename(from, to string) error {
	if _, err := fs.step(&operation{what: "rename " + shortName(from) + " to " + shortName(to)}); err != nil {
		return err
	}
	node := fs.files[from]
	fs.change(func(names map[string]*inode) { names[to] = node; delete(names, from) })
	return fs.osFilesystem.Rename(from, to)
}

func (fs *faultFS) Remove(path string) error {
	if _, err := fs.step(&operation{what: "remove " + shortName(path)}); err != nil {
		return err
	}
	fs.change(func(names map[string]*inode) { delete(names, path) })
	return fs.osFilesystem.Remove(path)
}

func (fs *faultFS) SyncDir(dir string) error {
	if _, err := fs.step(&operation{what: "sync directory"}); err != nil {
		return err
	}
	for _, change := range fs.pending {
		change(fs.durable)
	}
	fs.pending = nil
	return nil // the real sync would only cost time
}

func (fs *faultFS) Free(dir string) (int64, error) {
	if _, err := fs.step(&operation{what: "ask for free space"}); err != nil {
		return 0, err
	}
	if fs.free != nil {
		return *fs.free, nil
	}
	return fs.osFilesystem.Free(dir)
}

func (fs *faultFS) change(f func(names map[string]*inode)) {
	f(fs.files)
	fs.pending = append(fs.pending, f)
}

// unsyncedFS is the real file system but for syncs, which only cost time where
// nothing crashes.
type unsyncedFS struct{ osFilesystem }

func (unsyncedFS) SyncDir(string) error { return nil }

func (fs unsyncedFS) Create(path string) (outFile, error) {
	f, err := fs.osFilesystem.Create(path)
	return unsyncedFile{f}, err
}

type unsyncedFile struct{ outFile }

func (unsyncedFile) Sync() error { return nil }

// faultFile is a file being written.
type faultFile struct {
	fs   *faultFS
	f    outFile
	node *inode
	name string
}

func (f *faultFile) Write(p []byte) (int, error) {
	n, err := f.fs.step(&operation{what: fmt.Sprintf("write %d", len(p)), name: f.name, data: p})
	if n < 0 {
		n = len(p)
	}
	f.node.data = append(f.node.data, p[:n]...)
	if f.node.inRow != nil {
		f.node.inRow = append(f.node.inRow, p[:n]...)
	}
	if _, werr := f.f.Write(p[:n]); werr != nil {
		return 0, werr
	}
	return n, err
}

func (f *faultFile) WriteAt(p []byte, off int64) (int, error) {
	n, err := f.fs.step(&operation{what: fmt.Sprintf("write %d at %d", len(p), off), name: f.name, data: p})
	if n < 0 {
		n = len(p)
	}
	if f.node.inRow == nil {
		f.node.inRow = slices.Clone(f.node.data)
	}
	copy(f.node.data[off:], p[:n])
	f.node.synced = min(f.node.synced, int(off))
	if _, werr := f.f.WriteAt(p[:n], off); werr != nil {
		return 0, werr
	}
	return n, err
}

func (f *faultFile) Sync() error {
	if _, err := f.fs.step(&operation{what: "sync " + f.name}); err != nil {
		return err
	}
	f.node.inRow = nil
	f.node.synced = len(f.node.data)
	return nil // the real sync would only cost time
}

func (f *faultFile) Close() error {
	if _, err := f.fs.step(&operation{what: "close " + f.name}); err != nil {
		f.f.Close()
		return err
	}
	return f.f.Close()
}

// afterCrash makes a directory for each state that the disk may be in.
func (fs *faultFS) afterCrash(t *testing.T, visit func(state, dir string)) {
	t.Helper()
	if len(fs.pending) > 8 {
		t.Fatalf("%d changed names, in any combination, are too many to look at", len(fs.pending))
	}
	for applied := range 1 << len(fs.pending) {
		names := map[string]*inode{}
		for name, node := range fs.durable {
			names[name] = node
		}
		for i, change := range fs.pending {
			if applied>>i&1 != 0 {
				change(names)
			}
		}
		ways := map[string]func(n *inode) []byte{
			"nothing that was not synced": func(n *inode) []byte { return n.data[:max(n.synced, 0)] },
			"half of what was not synced": func(n *inode) []byte { return n.data[:max(n.synced, len(n.data)/2)] },
			"zeros for what was not": func(n *inode) []byte {
				return append(slices.Clone(n.data[:max(n.synced, 0)]), make([]byte, len(n.data)-max(n.synced, 0))...)
			},
			"everything": func(n *inode) []byte { return n.data },
		}
		for _, node := range names {
			if node.inRow == nil {
				continue
			}
			ways["what was written in place as it was before"] = func(n *inode) []byte {
				if n.inRow != nil {
					return n.inRow
				}
				return n.data
			}
		}
		for name, keep := range ways {
			dir := t.TempDir()
			for path, node := range names {
				if err := os.WriteFile(filepath.Join(dir, filepath.Base(path)), keep(node), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			visit(fmt.Sprintf("changed names %0*b of %d, %s", len(fs.pending), applied, len(fs.pending), name), dir)
		}
	}
}

// The ways in which an operation fails.
var faults = map[string]func(op *operation) (int, error){
	"ENOSPC":            func(*operation) (int, error) { return 0, syscall.ENOSPC },
	"EIO":               func(*operation) (int, error) { return 0, syscall.EIO },
	"ENOSPC after half": func(op *operation) (int, error) { return len(op.data) / 2, syscall.ENOSPC },
	"short write": func(op *operation) (int, error) {
		if len(op.data) == 0 {
			return 0, io.ErrShortWrite
		}
		return len(op.data) - 1, nil
	},
}
