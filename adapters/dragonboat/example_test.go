package dragonboat_test

import (
	"bytes"
	"fmt"
	"log"

	sm "github.com/lni/dragonboat/v4/statemachine"

	"github.com/cowheap/cowheap/adapters/dragonboat"
	"github.com/cowheap/cowheap/cowheap"
)

// Words is the state that the log's entries change.
type Words struct {
	Count cowheap.Map[string, uint64]
}

// machine counts words. PrepareSnapshot, SaveSnapshot, RecoverFromSnapshot and Close are the embedded
// heap's.
type machine struct{ *dragonboat.Heap }

var _ sm.IConcurrentStateMachine = machine{}

// newMachine is what NodeHost.StartConcurrentReplica is given.
func newMachine(shard, replica uint64) sm.IConcurrentStateMachine {
	h, err := dragonboat.New(&cowheap.Options{Seed: 1}) // the same on all replicas
	if err != nil {
		log.Fatal(err)
	}
	return machine{h}
}

func (s machine) Update(entries []sm.Entry) ([]sm.Entry, error) {
	for i := range entries {
		e := &entries[i]
		err := s.UpdateEntry(e, func(m *cowheap.Mem) error {
			root, err := cowheap.Root[Words](m, "words")
			if err != nil {
				return err
			}
			n, _, err := root.Ptr(m).Count.Slot(m, string(e.Cmd))
			if err != nil {
				return err
			}
			*n++
			e.Result.Value = *n
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return entries, nil
}

// Lookup runs beside Update. A program with more to read than one word guards its state by a lock that
// Update's function and this one take.
func (s machine) Lookup(query any) (answer any, err error) {
	err = s.View(func(m *cowheap.Mem) error {
		root, err := cowheap.Root[Words](m, "words")
		if err != nil {
			return err
		}
		n, _ := root.Ptr(m).Count.Get(m, query.(string))
		answer = n
		return nil
	})
	return answer, err
}

// What dragonboat does with a state machine: apply, freeze, go on applying while the snapshot is saved, and
// recover from it on another replica.
func Example() {
	one, two := newMachine(1, 1), newMachine(1, 2)
	defer one.Close()
	defer two.Close()
	word := func(index uint64) []sm.Entry { return []sm.Entry{{Index: index, Cmd: []byte("heap")}} }

	if _, err := one.Update(word(1)); err != nil {
		log.Fatal(err)
	}
	frozen, err := one.PrepareSnapshot()
	if err != nil {
		log.Fatal(err)
	}
	if _, err := one.Update(word(2)); err != nil { // beside SaveSnapshot
		log.Fatal(err)
	}
	var file bytes.Buffer
	if err := one.SaveSnapshot(frozen, &file, nil, nil); err != nil {
		log.Fatal(err)
	}
	if err := two.RecoverFromSnapshot(&file, nil, nil); err != nil {
		log.Fatal(err)
	}
	a, _ := one.Lookup("heap")
	b, _ := two.Lookup("heap")
	at, err := two.(machine).Position()
	fmt.Println(a, b, at.Index, err)
	// Output: 2 1 1 <nil>
}
