package arena

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime/debug"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/cowheap/cowheap/internal/uffd"
)

// crashes are what a child process does with the handler installed and a
// snapshot open; each must end as it would in any Go program.
var crashes = map[string]struct {
	do   func(a *Arena)
	want []string // on standard error; none: the child ends well
}{
	"nil dereference panics": {func(a *Arena) {
		defer func() {
			if r := recover(); r == nil || !strings.Contains(fmt.Sprint(r), "nil pointer") {
				panic(fmt.Sprint("recovered ", r))
			}
		}()
		var p *int
		*p = 1
	}, nil},
	"nil dereference without recover crashes": {func(a *Arena) {
		var p *int
		*p = 1
	}, []string{"panic: runtime error: invalid memory address or nil pointer dereference", "goroutine 1"}},
	"truncated file crashes": {func(a *Arena) {
		truncated()[0]++
	}, []string{"unexpected fault address", "fatal error: fault", "SIGBUS: bus error", "goroutine 1"}},
	"truncated file panics on request": {func(a *Arena) {
		debug.SetPanicOnFault(true)
		defer func() {
			if r := recover(); r == nil {
				panic("no panic")
			}
		}()
		truncated()[0]++
	}, nil},
	"poisoned page crashes a reader": {func(a *Arena) {
		b := poisoned(a)
		if b[0] == 1 {
			println("read")
		}
	}, []string{"unexpected fault address", "fatal error: fault", "SIGBUS", "goroutine 1"}},
	"poisoned page crashes a writer": {func(a *Arena) {
		poisoned(a)[0] = 1
	}, []string{"unexpected fault address", "fatal error: fault", "SIGBUS", "goroutine 1"}},
	"poisoned page crashes a copy": {func(a *Arena) {
		copy(poisoned(a), make([]byte, pageSize))
	}, []string{"unexpected fault address", "fatal error: fault", "SIGBUS", "goroutine 1"}},
	"address beyond what is committed crashes": {func(a *Arena) {
		a.mem.Bytes(a.mem.Size()-pageSize, 1)[0] = 1
	}, []string{"unexpected fault address", "SIGSEGV", "goroutine 1"}},
	"write to read-only memory elsewhere crashes": {func(a *Arena) {
		readOnly()[0] = 1
	}, []string{"unexpected fault address", "fatal error: fault", "SIGSEGV", "code=0x2", "goroutine 1"}},
	"write to read-only memory elsewhere panics on request": {func(a *Arena) {
		debug.SetPanicOnFault(true)
		defer func() {
			if r := recover(); r == nil {
				panic("no panic")
			}
		}()
		readOnly()[0] = 1
	}, nil},
	"a SIGSEGV that was sent crashes": {func(a *Arena) {
		if err := syscall.Kill(os.Getpid(), syscall.SIGSEGV); err != nil {
			panic(err)
		}
		time.Sleep(10 * time.Second)
	}, []string{"SIGSEGV: segmentation violation", "goroutine 1"}},
	"stack growth and deep recursion work": {func(a *Arena) {
		var f func(n int) int
		f = func(n int) int {
			var pad [1000]byte
			if n == 0 {
				return int(pad[0])
			}
			return f(n-1) + int(pad[n%1000])
		}
		f(10000)
	}, nil},
	"a SIGBUS that was sent is delivered": {func(a *Arena) {
		c := make(chan os.Signal, 1)
		signal.Notify(c, syscall.SIGBUS)
		if err := syscall.Kill(os.Getpid(), syscall.SIGBUS); err != nil {
			panic(err)
		}
		select {
		case <-c:
		case <-time.After(10 * time.Second):
			panic("not delivered")
		}
	}, nil},
}

func readOnly() []byte {
	b, err := unix.Mmap(-1, 0, pageSize, unix.PROT_READ, unix.MAP_PRIVATE|unix.MAP_ANON)
	if err != nil {
		panic(err)
	}
	return b
}

// truncated maps a file that is shorter than its mapping.
func truncated() []byte {
	f, err := os.CreateTemp("", "truncated")
	if err != nil {
		panic(err)
	}
	defer os.Remove(f.Name())
	defer f.Close()
	b, err := unix.Mmap(int(f.Fd()), 0, pageSize, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		panic(err)
	}
	return b
}

// poisoned is a page of the arena that the kernel says is broken. It must be
// none before, not even a marker of protection.
func poisoned(a *Arena) []byte {
	const off = 5 << 20 // committed by the allocation before, never touched
	g := a.guard.(*userfault)
	if err := g.fd.Unprotect(a.mem.Addr()+off, pageSize); err != nil {
		panic(err)
	}
	if err := g.fd.Poison(a.mem.Addr()+off, pageSize); err != nil {
		panic(err)
	}
	return a.mem.Bytes(off, pageSize)
}

func TestCrashesAreThoseOfAnyProgram(t *testing.T) {
	if name := os.Getenv("CRASH_CHILD"); name != "" {
		guard, err := ParseGuard(os.Getenv("CRASH_GUARD"))
		if err != nil {
			panic(err)
		}
		a, err := New(Options{Guard: guard, MaxSize: 64 << 20})
		if err != nil {
			panic(err)
		}
		off, err := a.Alloc(8<<20, pageSize)
		if err != nil {
			panic(err)
		}
		if _, err := a.Snapshot(); err != nil {
			panic(err)
		}
		a.mem.Bytes(off, 1)[0] = 1
		crashes[name].do(a)
		os.Exit(0)
	}
	for _, guard := range []Guard{GuardUserfault, GuardMprotect} {
		t.Run(guard.String(), func(t *testing.T) { crashesAlike(t, guard) })
	}
}

func crashesAlike(t *testing.T, guard Guard) {
	if err := errors.Join(probeUserfault(), uffd.HavePoison()); err != nil && guard == GuardUserfault {
		t.Skip(err)
	}
	for name, c := range crashes {
		t.Run(name, func(t *testing.T) {
			if guard == GuardMprotect && strings.HasPrefix(name, "poisoned") {
				t.Skip("by userfaultfd")
			}
			t.Parallel()
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			cmd := exec.CommandContext(ctx, os.Args[0], "-test.run=^TestCrashesAreThoseOfAnyProgram$")
			cmd.Env = append(os.Environ(), "CRASH_CHILD="+name, "CRASH_GUARD="+guard.String(), "GOTRACEBACK=all")
			out, err := cmd.CombinedOutput()
			if ctx.Err() != nil {
				t.Fatal("hung")
			}
			if (err == nil) != (c.want == nil) {
				t.Errorf("ended with %v", err)
			}
			for _, w := range c.want {
				if w == "goroutine 1" {
					w = "goroutine " // the tests run in one of their own
				}
				if !strings.Contains(string(out), w) {
					t.Errorf("no %q", w)
				}
			}
			if t.Failed() {
				t.Logf("%.3000s", out)
			}
		})
	}
}

// A system call that writes into a protected page fails and loses what it read;
// Pin is the way around it.
func TestSystemCallsIntoTheArena(t *testing.T) {
	a, err := New(Options{Guard: GuardUserfault, MaxSize: 64 << 20})
	if err != nil {
		t.Skip(err)
	}
	defer a.Close()
	off, err := a.Alloc(1<<20, pageSize)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "f")
	want := strings.Repeat("0123456789abcdef", 1<<16)
	if err := os.WriteFile(path, []byte(want), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	b := a.mem.Bytes(off, 1<<20)
	s, err := a.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if _, err := f.ReadAt(b, 0); !errors.Is(err, syscall.EFAULT) {
		t.Errorf("reading into protected pages: %v, want EFAULT", err)
	}
	unpin, err := a.Pin(off, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	defer unpin()
	if _, err := f.ReadAt(b, 0); err != nil {
		t.Errorf("reading into pinned pages: %v", err)
	}
	if string(b) != want {
		t.Error("what was read differs")
	}
	got := make([]byte, 1<<20)
	if _, err := s.ReadAt(got, int64(off)); err != nil {
		t.Fatal(err)
	}
	for i, c := range got {
		if c != 0 {
			t.Fatalf("byte %d of the snapshot is %d", i, c)
		}
	}
	if st := s.Stats(); st.Faults != 0 || st.Pages != 256 {
		t.Errorf("%+v: want no faults and 256 pages preserved", st)
	}
}
