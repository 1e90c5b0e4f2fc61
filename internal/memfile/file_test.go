package memfile

import (
	"bytes"
	"errors"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"testing"
)

// memoryFile is a new one, if there is somewhere to make it.
func memoryFile(t *testing.T) (f File, path string) {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Skip("no files are known to be in memory")
	}
	dir, err := os.MkdirTemp("/dev/shm", "cowheap-test-")
	if err != nil {
		t.Skip(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	path = filepath.Join(dir, "file")
	plain, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { plain.Close() })
	f, ok := Of(plain)
	if !ok {
		t.Skip("/dev/shm is not in memory")
	}
	return f, path
}

func TestWhatIsWrittenIsInTheFile(t *testing.T) {
	f, path := memoryFile(t)
	rng := rand.NewChaCha8([32]byte{})
	var want []byte
	for _, n := range []int{0, 1, piece - 1, piece, piece + 1, 5*piece + 17, 2 << 20} {
		p := make([]byte, n)
		rng.Read(p)
		want = append(want, p...)
		if got, err := f.Write(p); got != n || err != nil {
			t.Fatalf("%d of %d bytes: %v", got, n, err)
		}
		// Both go on at the same place.
		if _, err := f.File.Write([]byte("plain")); err != nil {
			t.Fatal(err)
		}
		want = append(want, "plain"...)
	}
	if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, want) {
		t.Errorf("%d bytes, want %d: %v", len(got), len(want), err)
	}
}

func TestErrorsAreThoseOfAFile(t *testing.T) {
	f, path := memoryFile(t)
	same := func(what string, f File, p []byte) {
		t.Helper()
		n, err := f.Write(p)
		m, want := f.File.Write(p)
		if want == nil {
			t.Fatalf("%s: no error", what)
		}
		if n != m || err == nil || err.Error() != want.Error() {
			t.Errorf("%s: %d, %v; want %d, %v", what, n, err, m, want)
		}
	}
	if full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0); err == nil {
		conn, err := full.SyscallConn()
		if err != nil {
			t.Fatal(err)
		}
		same("no space", File{full, conn}, make([]byte, 3*piece))
		full.Close()
	}
	readOnly, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer readOnly.Close()
	if r, ok := Of(readOnly); ok {
		same("for reading", r, []byte("x"))
	}
	f.Close()
	if _, err := f.Write([]byte("x")); !errors.Is(err, fs.ErrClosed) {
		t.Errorf("closed: %v", err)
	}
}

func TestOnlyRegularFilesInMemory(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	if _, ok := Of(w); ok {
		t.Error("a pipe is one")
	}
	if null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0); err == nil {
		if _, ok := Of(null); ok {
			t.Error("a device is one")
		}
		null.Close()
		if _, ok := Of(null); ok {
			t.Error("a closed file is one")
		}
	}
}
