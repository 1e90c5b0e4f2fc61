package cowheap_test

import (
	"errors"
	"fmt"
	"log"

	"github.com/cowheap/cowheap/cowheap"
)

// accountV1 and bankV1 are what the program wrote until now, kept for migrate.
type (
	accountV1 struct{ Cents uint32 }
	bankV1    struct {
		Accounts cowheap.Map[string, accountV1]
	}
)

// account and bank are what it wants from now on.
type (
	account struct {
		Cents int64
		Note  cowheap.String
	}
	bank struct {
		Accounts cowheap.Map[string, account]
		Migrated bool
		_        [7]byte // for later: that needs no migration
	}
)

// migrate copies the old root to a new one, under another name. The layout is compared
// by fields and not by the names of types, so the old one is opened by a Go type that
// is called otherwise. All in one Update: no snapshot shows half of it.
func migrate(m *cowheap.Mem) error {
	root, err := cowheap.Root[bank](m, "bank/2")
	if err != nil || root.Ptr(m).Migrated {
		return err
	}
	old, err := cowheap.Root[bankV1](m, "bank") // empty in a new heap
	if err != nil {
		return err
	}
	from, to := &old.Ptr(m).Accounts, &root.Ptr(m).Accounts
	for name, was := range from.All(m) {
		now, _, err := to.Slot(m, name) // again where an Update that failed has been
		if err != nil {
			return err
		}
		now.Cents = int64(was.Cents)
	}
	from.Clear(m) // a root stays, what it holds need not
	root.Ptr(m).Migrated = true
	return nil
}

// A layout that has changed is refused with every difference, and copied over by a
// program that knows both.
func Example_migration() {
	h, err := cowheap.New(nil)
	if err != nil {
		log.Fatal(err)
	}
	defer h.Close()
	err = h.Update(func(m *cowheap.Mem) error { // the old program
		root, err := cowheap.Root[bankV1](m, "bank")
		if err != nil {
			return err
		}
		return root.Ptr(m).Accounts.Set(m, "ada", accountV1{Cents: 100})
	})
	if err != nil {
		log.Fatal(err)
	}
	err = h.Update(func(m *cowheap.Mem) error { // the new one
		_, err := cowheap.Root[struct {
			Accounts cowheap.Map[string, account]
		}](m, "bank")
		if changed, ok := errors.AsType[*cowheap.LayoutError](err); ok {
			for _, d := range changed.Differences {
				fmt.Println("changed:", d.Was, "->", d.Is)
			}
		}
		if err := migrate(m); err != nil {
			return err
		}
		root, err := cowheap.Root[bank](m, "bank/2")
		if err != nil {
			return err
		}
		for name, a := range root.Ptr(m).Accounts.All(m) {
			fmt.Println(name, a.Cents)
		}
		return nil
	})
	if err != nil {
		log.Fatal(err)
	}
	for err := range h.Check() {
		fmt.Println(err)
	}
	// Output:
	// changed: uint32 -> int64
	// changed: absent -> String at offset 8
	// ada 100
}
