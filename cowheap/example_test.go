package cowheap_test

import (
	"bytes"
	"context"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"github.com/cowheap/cowheap/cowheap"
)

type Account struct{ Balance int64 }

type Bank struct {
	LogPosition uint64 // frozen with the state
	Accounts    cowheap.Map[string, Account]
}

func deposit(h *cowheap.Heap, name string, amount int64) error {
	return h.Update(func(m *cowheap.Mem) error {
		root, err := cowheap.Root[Bank](m, "bank")
		if err != nil {
			return err
		}
		bank := root.Ptr(m)
		bank.LogPosition++
		account, _, err := bank.Accounts.Slot(m, name)
		if err != nil {
			return err
		}
		account.Balance += amount
		return nil
	})
}

func report(h *cowheap.Heap, name string) error {
	return h.View(func(m *cowheap.Mem) error {
		root, err := cowheap.Root[Bank](m, "bank")
		if err != nil {
			return err
		}
		account, ok := root.Ptr(m).Accounts.Get(m, name)
		fmt.Println(name, account.Balance, ok, "at position", root.Ptr(m).LogPosition)
		return nil
	})
}

// A program keeps its state in a heap, saves it while it goes on, and finds it
// again when it is started the next time.
func Example() {
	dir, err := os.MkdirTemp("", "bank")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)

	h, err := cowheap.Open(dir, nil) // empty: there is no checkpoint yet
	if err != nil {
		log.Fatal(err)
	}
	if err := deposit(h, "ada", 100); err != nil {
		log.Fatal(err)
	}
	if _, err := h.Checkpoint(context.Background()); err != nil {
		log.Fatal(err)
	}
	if err := deposit(h, "ada", 1); err != nil { // never saved
		log.Fatal(err)
	}
	if err := h.Close(); err != nil {
		log.Fatal(err)
	}

	h, err = cowheap.Open(dir, nil) // the newest valid checkpoint
	if err != nil {
		log.Fatal(err)
	}
	defer h.Close()
	if err := report(h, "ada"); err != nil {
		log.Fatal(err)
	}
	// Output:
	// ada 100 true at position 1
}

// What is written after a snapshot is not in it.
func ExampleHeap_Snapshot() {
	h, err := cowheap.New(nil)
	if err != nil {
		log.Fatal(err)
	}
	defer h.Close()
	if err := deposit(h, "ada", 100); err != nil {
		log.Fatal(err)
	}
	s, err := h.Snapshot()
	if err != nil {
		log.Fatal(err)
	}
	defer s.Close()
	if err := deposit(h, "ada", 1); err != nil {
		log.Fatal(err)
	}

	var stream bytes.Buffer // a file, a connection, the sink of a raft snapshot
	if _, err := s.WriteTo(&stream); err != nil {
		log.Fatal(err)
	}
	then, err := cowheap.Restore(&stream, nil)
	if err != nil {
		log.Fatal(err)
	}
	defer then.Close()
	for _, h := range []*cowheap.Heap{then, h} {
		if err := report(h, "ada"); err != nil {
			log.Fatal(err)
		}
	}
	// Output:
	// ada 100 true at position 1
	// ada 101 true at position 2
}

// A Ref means the same in the live heap and in a snapshot of it.
func ExampleRef_Load() {
	h, err := cowheap.New(nil)
	if err != nil {
		log.Fatal(err)
	}
	defer h.Close()
	var counter cowheap.Ref[uint64]
	count := func(n uint64) {
		if err := h.Update(func(m *cowheap.Mem) (err error) {
			if counter.IsNil() {
				counter, err = cowheap.Alloc[uint64](m)
			}
			if err == nil {
				*counter.Ptr(m) += n
			}
			return err
		}); err != nil {
			log.Fatal(err)
		}
	}
	count(5)
	s, err := h.Snapshot()
	if err != nil {
		log.Fatal(err)
	}
	defer s.Close()
	count(3)
	then, err := counter.Load(s)
	if err != nil {
		log.Fatal(err)
	}
	_ = h.View(func(m *cowheap.Mem) error {
		fmt.Println("then", then, "now", *counter.Ptr(m))
		return nil
	})
	// Output:
	// then 5 now 8
}

// Update creates a root, zeroed; View does not.
func ExampleRoot() {
	h, err := cowheap.New(nil)
	if err != nil {
		log.Fatal(err)
	}
	defer h.Close()
	err = h.View(func(m *cowheap.Mem) error {
		_, err := cowheap.Root[uint64](m, "visits")
		return err
	})
	fmt.Println(err)
	for range 2 {
		err = h.Update(func(m *cowheap.Mem) error {
			visits, err := cowheap.Root[uint64](m, "visits")
			if err != nil {
				return err
			}
			*visits.Ptr(m)++
			fmt.Println(*visits.Ptr(m))
			return nil
		})
		if err != nil {
			log.Fatal(err)
		}
	}
	// Output:
	// no such root: "visits"
	// 1
	// 2
}

// The kernel does not wait for a page that a snapshot protects: a read into one
// fails, unless it was prepared.
func ExampleMem_PrepareWrite() {
	dir, err := os.MkdirTemp("", "input")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "input")
	if err := os.WriteFile(path, []byte("straight from the file"), 0o600); err != nil {
		log.Fatal(err)
	}

	h, err := cowheap.New(nil)
	if err != nil {
		log.Fatal(err)
	}
	defer h.Close()
	var page cowheap.Ref[[4096]byte]
	err = h.Update(func(m *cowheap.Mem) (err error) {
		page, err = cowheap.Root[[4096]byte](m, "page")
		return err
	})
	if err != nil {
		log.Fatal(err)
	}
	s, err := h.Snapshot()
	if err != nil {
		log.Fatal(err)
	}
	defer s.Close()
	err = h.Update(func(m *cowheap.Mem) error {
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		defer f.Close()
		buf := page.Ptr(m)[:]
		if err := m.PrepareWrite(buf); err != nil { // or the answer is EFAULT
			return err
		}
		n, err := f.Read(buf)
		fmt.Printf("%s\n", buf[:n])
		return err
	})
	if err != nil {
		log.Fatal(err)
	}
	// Output:
	// straight from the file
}

// A heap goes back to a snapshot in place: whatever was tried out since is gone.
func ExampleHeap_Rollback() {
	h, err := cowheap.New(nil)
	if err != nil {
		log.Fatal(err)
	}
	defer h.Close()
	must(deposit(h, "ada", 100))

	before, err := h.Snapshot()
	if err != nil {
		log.Fatal(err)
	}
	defer before.Close()
	must(deposit(h, "ada", -1000))
	must(report(h, "ada"))

	must(h.Rollback(before))
	must(report(h, "ada"))
	// Output:
	// ada -900 true at position 2
	// ada 100 true at position 1
}

// A fork is a second heap that starts as a snapshot; what is done there is not done
// to its parent.
func ExampleSnapshot_Fork() {
	h, err := cowheap.New(nil)
	if err != nil {
		log.Fatal(err)
	}
	defer h.Close()
	must(deposit(h, "ada", 100))

	s, err := h.Snapshot()
	if err != nil {
		log.Fatal(err)
	}
	what, err := s.Fork(nil)
	if err != nil {
		log.Fatal(err)
	}
	defer what.Close()
	s.Close() // the fork keeps what it needs

	must(deposit(what, "ada", 1))
	must(report(what, "ada"))
	must(report(h, "ada"))
	// Output:
	// ada 101 true at position 2
	// ada 100 true at position 1
}

func must(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
