package cowheap_test

import (
	"fmt"
	"log"
	"slices"
	"strings"

	"github.com/cowheap/cowheap/cowheap"
)

// update runs fn in an Update of a new heap.
func update(fn func(m *cowheap.Mem) error) {
	h, err := cowheap.New(&cowheap.Options{Seed: 1})
	if err != nil {
		log.Fatal(err)
	}
	defer h.Close()
	if err := h.Update(fn); err != nil {
		log.Fatal(err)
	}
}

func ExampleMap() {
	update(func(m *cowheap.Mem) error {
		root, err := cowheap.Root[cowheap.Map[string, int64]](m, "stock")
		if err != nil {
			return err
		}
		stock := root.Ptr(m)
		for i, name := range []string{"apples", "pears", "plums"} {
			if err := stock.Set(m, name, int64(10*i)); err != nil {
				return err
			}
		}
		*stock.Ptr(m, "apples") += 7 // in place
		stock.Delete(m, "plums")
		n, ok := stock.Get(m, "plums")
		fmt.Println(stock.Len(), n, ok)
		var lines []string
		for name, n := range stock.All(m) {
			lines = append(lines, fmt.Sprint(name, " ", *n)) // a copy: name lies in the heap
		}
		slices.Sort(lines)
		fmt.Println(strings.Join(lines, ", "))
		return nil
	})
	// Output:
	// 2 0 false
	// apples 7, pears 10
}

// Containers are values in the heap, so they may hold each other.
func ExampleMap_Slot() {
	type Author struct {
		Born  int32
		Books cowheap.Vec[cowheap.String]
	}
	update(func(m *cowheap.Mem) error {
		root, err := cowheap.Root[cowheap.Map[string, Author]](m, "authors")
		if err != nil {
			return err
		}
		authors := root.Ptr(m)
		for _, title := range []string{"Persuasion", "Emma"} {
			author, existed, err := authors.Slot(m, "Austen") // filled where it is
			if err != nil {
				return err
			}
			if !existed {
				author.Born = 1775
			}
			book, err := cowheap.NewString(m, title)
			if err != nil {
				return err
			}
			if err := author.Books.Append(m, book); err != nil {
				return err
			}
		}
		for name, author := range authors.All(m) {
			fmt.Println(name, author.Born)
			for _, book := range author.Books.Slice(m) {
				fmt.Println(" ", book.Get(m))
			}
		}
		authors.Delete(m, "Austen") // and with it the Vec and the Strings
		return nil
	})
	// Output:
	// Austen 1775
	//   Persuasion
	//   Emma
}

func ExampleVec() {
	update(func(m *cowheap.Mem) error {
		root, err := cowheap.Root[cowheap.Vec[uint32]](m, "scores")
		if err != nil {
			return err
		}
		scores := root.Ptr(m)
		if err := scores.Append(m, 3, 1, 2); err != nil {
			return err
		}
		slices.Sort(scores.Slice(m)) // in the heap itself
		scores.Truncate(m, 2)
		fmt.Println(scores.Len(), scores.Slice(m))
		return nil
	})
	// Output:
	// 2 [1 2]
}

func ExampleString() {
	type Person struct{ Name cowheap.String }
	update(func(m *cowheap.Mem) error {
		root, err := cowheap.Root[Person](m, "person")
		if err != nil {
			return err
		}
		p := root.Ptr(m)
		if err := p.Name.Set(m, "Ada"); err != nil {
			return err
		}
		if err := p.Name.Set(m, p.Name.Get(m)+" Lovelace"); err != nil { // frees the one before
			return err
		}
		fmt.Println(p.Name.Get(m), p.Name.Len(), p.Name.Equal(m, "Ada"))
		return nil
	})
	// Output:
	// Ada Lovelace 12 false
}
