//go:build invariants

package cowheap_test

import (
	"fmt"
	"log"
	"regexp"

	"github.com/cowheap/cowheap/cowheap"
)

// message is what a panic said, with the lines of this file as L.
func message(v any) string {
	return regexp.MustCompile(`offset 0x[0-9a-f]+|cowheap/example_invariants_test.go:\d+`).
		ReplaceAllStringFunc(fmt.Sprint(v), func(s string) string {
			if s[0] == 'o' {
				return "offset N"
			}
			return "L"
		})
}

// With -tags invariants a Ref that has outlived its T is found when it is used.
func ExampleRef_Ptr_stale() {
	type row struct{ N uint64 }
	update(func(m *cowheap.Mem) error {
		r, err := cowheap.Alloc[row](m)
		if err != nil {
			return err
		}
		if err := cowheap.Free(m, r); err != nil {
			return err
		}
		defer func() { fmt.Println(message(recover())) }()
		r.Ptr(m).N = 1
		return nil
	})
	// Output:
	// cowheap: Ref.Ptr of a cowheap_test.row at offset N: the memory was freed: a cowheap_test.row, allocated at L and freed at L
}

// And so is a Mem that has outlived its function.
func ExampleMem_afterItsFunction() {
	h, err := cowheap.New(nil)
	if err != nil {
		log.Fatal(err)
	}
	defer h.Close()
	var kept *cowheap.Mem
	if err := h.Update(func(m *cowheap.Mem) error { kept = m; return nil }); err != nil {
		log.Fatal(err)
	}
	defer func() { fmt.Println(message(recover())) }()
	_, _ = cowheap.Alloc[uint64](kept)
	// Output:
	// cowheap: a Mem was used after its Update or View has returned: that was entered at L
}
