package cowheap_test

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"github.com/cowheap/cowheap/cowheap"
)

func ExampleBTree() {
	update(func(m *cowheap.Mem) error {
		root, err := cowheap.Root[cowheap.BTree[string, int64]](m, "stock")
		if err != nil {
			return err
		}
		stock := root.Ptr(m)
		for i, name := range []string{"plums", "apples", "pears", "figs"} {
			if err := stock.Set(m, name, int64(10*i)); err != nil {
				return err
			}
		}
		for name, n := range stock.All(m) {
			fmt.Println(name, *n)
		}
		for name := range stock.Descend(m, "g") { // from there down
			fmt.Println("before g:", name)
		}
		name, n, _ := stock.Max(m)
		fmt.Println("last:", name, *n)
		return nil
	})
	// Output:
	// apples 10
	// figs 30
	// pears 20
	// plums 0
	// before g: figs
	// before g: apples
	// last: plums 0
}

// A loop may change the tree that it goes through: it goes on at the next greater key.
func ExampleBTree_Ascend() {
	update(func(m *cowheap.Mem) error {
		root, err := cowheap.Root[cowheap.BTree[uint64, cowheap.String]](m, "deadlines")
		if err != nil {
			return err
		}
		deadlines := root.Ptr(m)
		for _, at := range []uint64{70, 10, 40, 20} {
			what, err := cowheap.NewString(m, fmt.Sprint("job of ", at))
			if err != nil {
				return err
			}
			if err := deadlines.Set(m, at, what); err != nil {
				return err
			}
		}
		for at, what := range deadlines.Ascend(m, 15) {
			if at > 50 {
				break
			}
			fmt.Println(what.Get(m))
			deadlines.Delete(m, at)
		}
		fmt.Println(slices.Collect(deadlines.Keys(m)))
		return nil
	})
	// Output:
	// job of 20
	// job of 40
	// [10 70]
}

func ExampleBTree_Load() {
	update(func(m *cowheap.Mem) error {
		root, err := cowheap.Root[cowheap.BTree[int, int]](m, "squares")
		if err != nil {
			return err
		}
		squares := root.Ptr(m)
		err = squares.Load(m, func(yield func(int, int) bool) {
			for i := range 1000 {
				if !yield(i, i*i) {
					return
				}
			}
		})
		fmt.Println(squares.Len(), err)
		squares.Clear(m)
		err = squares.Load(m, slices.Backward([]int{0, 1, 4, 9}))
		fmt.Println(errors.Is(err, cowheap.ErrOrder), squares.Len())
		return nil
	})
	// Output:
	// 1000 <nil>
	// true 0
}

type row struct {
	ID    uint64
	Score int64
	Name  cowheap.String
}

// byScore is the key of an index: the best first, and rows of the same score by
// their ID.
type byScore struct {
	Score int64
	ID    uint64
}

func (k byScore) Compare(l byScore) int {
	return cmp.Or(cmp.Compare(l.Score, k.Score), cmp.Compare(k.ID, l.ID))
}

// A table: rows by their ID, and an index of them by score.
type table struct {
	Rows  cowheap.Map[uint64, cowheap.Ref[row]]
	Score cowheap.BTreeFunc[byScore, cowheap.Ref[row]]
}

// put adds a row, or changes the score of the one that is there.
func (t *table) put(m *cowheap.Mem, id uint64, score int64) error {
	slot, existed, err := t.Rows.Slot(m, id)
	if err != nil {
		return err
	}
	if !existed {
		if *slot, err = cowheap.Alloc[row](m); err != nil {
			t.Rows.Delete(m, id)
			return err
		}
	}
	r := slot.Ptr(m)
	if existed {
		t.Score.Delete(m, byScore{r.Score, id})
	}
	r.ID, r.Score = id, score
	return t.Score.Set(m, byScore{score, id}, *slot)
}

func ExampleBTreeFunc() {
	update(func(m *cowheap.Mem) error {
		root, err := cowheap.Root[table](m, "players")
		if err != nil {
			return err
		}
		players := root.Ptr(m)
		for id, score := range []int64{30, 70, 20, 70, 50} {
			if err := players.put(m, uint64(id), score); err != nil {
				return err
			}
		}
		if err := players.put(m, 2, 60); err != nil { // moves up in the index
			return err
		}
		for k, ref := range players.Score.All(m) {
			fmt.Println(k.Score, "player", ref.Ptr(m).ID)
		}
		for k := range players.Score.Ascend(m, byScore{Score: 55}) { // less than 55 points
			fmt.Println("below 55:", k.ID)
		}
		return nil
	})
	// Output:
	// 70 player 1
	// 70 player 3
	// 60 player 2
	// 50 player 4
	// 30 player 0
	// below 55: 4
	// below 55: 0
}

func ExampleQueue() {
	type job struct{ Name cowheap.String }
	update(func(m *cowheap.Mem) error {
		root, err := cowheap.Root[cowheap.Queue[job]](m, "jobs")
		if err != nil {
			return err
		}
		jobs := root.Ptr(m)
		for _, name := range []string{"build", "test", "release"} {
			j, err := jobs.Slot(m) // at the back, filled where it is
			if err != nil {
				return err
			}
			if err := j.Name.Set(m, name); err != nil {
				return err
			}
		}
		fmt.Println(jobs.Peek(m).Name.Get(m)) // before Pop, which frees the name
		jobs.Pop(m)
		for j := range jobs.All(m) {
			fmt.Println("still to do:", j.Name.Get(m))
		}
		return nil
	})
	// Output:
	// build
	// still to do: test
	// still to do: release
}

// A value that holds a container must not be copied.
func ExampleBTree_Get_misuse() {
	update(func(m *cowheap.Mem) error {
		defer func() { fmt.Println(recover()) }()
		root, err := cowheap.Root[cowheap.BTree[uint64, cowheap.Queue[int]]](m, "queues")
		if err != nil {
			return err
		}
		root.Ptr(m).Get(m, 1)
		return nil
	})
	// Output:
	// cowheap: BTree.Get of a value with a container in it: containers must not be copied; use Ptr
}

// A tree in Go memory is no tree: containers live in the heap, where Alloc and
// Root put them.
func ExampleBTree_Set_misuse() {
	update(func(m *cowheap.Mem) error {
		defer func() { fmt.Println(recover()) }()
		var t cowheap.BTree[uint64, uint64]
		return t.Set(m, 1, 1)
	})
	// Output:
	// cowheap: BTree.Set of a container that is not in this Mem's heap: containers live in the heap's memory, where Alloc and Root put them, and must not be copied
}

// What Pop returns holds nothing: the text was freed with the element.
func ExampleQueue_Pop_misuse() {
	update(func(m *cowheap.Mem) error {
		root, err := cowheap.Root[cowheap.Queue[cowheap.String]](m, "names")
		if err != nil {
			return err
		}
		names := root.Ptr(m)
		name, err := cowheap.NewString(m, "Ada")
		if err != nil {
			return err
		}
		if err := names.Push(m, name); err != nil {
			return err
		}
		popped, ok := names.Pop(m)
		fmt.Printf("%v %q\n", ok, popped.Get(m))
		return nil
	})
	// Output:
	// true ""
}
