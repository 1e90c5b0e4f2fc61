package raft_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"log"

	"github.com/hashicorp/raft"

	cowheapraft "github.com/cowheap/cowheap/adapters/raft"
	"github.com/cowheap/cowheap/cowheap"
)

// Scores is the state that the log's entries change.
type Scores struct {
	ByPlayer cowheap.Map[uint64, int64]
}

// fsm is a raft.FSM: Snapshot and Restore are the embedded heap's.
type fsm struct{ *cowheapraft.Heap }

var _ raft.FSM = fsm{}

// Apply adds points to a player's score: 8 bytes of player, 8 of points.
func (f fsm) Apply(l *raft.Log) any {
	player, points := binary.LittleEndian.Uint64(l.Data), binary.LittleEndian.Uint64(l.Data[8:])
	return f.UpdateLog(l, func(m *cowheap.Mem) error {
		root, err := cowheap.Root[Scores](m, "scores")
		if err != nil {
			return err
		}
		score, _, err := root.Ptr(m).ByPlayer.Slot(m, player)
		if err != nil {
			return err
		}
		*score += int64(points)
		return nil
	})
}

func (f fsm) score(player uint64) (score int64) {
	err := f.View(func(m *cowheap.Mem) error {
		root, err := cowheap.Root[Scores](m, "scores")
		if err == nil {
			score, _ = root.Ptr(m).ByPlayer.Get(m, player)
		}
		return err
	})
	if err != nil {
		log.Fatal(err)
	}
	return score
}

func entry(index, player uint64, points int64) *raft.Log {
	b := binary.LittleEndian.AppendUint64(nil, player)
	return &raft.Log{Index: index, Term: 1, Data: binary.LittleEndian.AppendUint64(b, uint64(points))}
}

// sink is where raft has a snapshot written to.
type sink struct{ bytes.Buffer }

func (s *sink) ID() string    { return "1" }
func (s *sink) Cancel() error { return nil }
func (s *sink) Close() error  { return nil }

// What raft does with a state machine: apply, freeze, go on applying while the
// snapshot is written, and restore it on another replica.
func Example() {
	heap, err := cowheapraft.New(&cowheap.Options{Seed: 1}) // the same on all peers
	if err != nil {
		log.Fatal(err)
	}
	defer heap.Close()
	one := fsm{heap}
	one.Apply(entry(7, 1, 100))
	frozen, err := one.Snapshot()
	if err != nil {
		log.Fatal(err)
	}
	one.Apply(entry(8, 1, 50)) // beside Persist
	var file sink
	if err := frozen.Persist(&file); err != nil {
		log.Fatal(err)
	}
	frozen.Release()

	heap, err = cowheapraft.New(&cowheap.Options{Seed: 1})
	if err != nil {
		log.Fatal(err)
	}
	defer heap.Close()
	two := fsm{heap}
	if err := two.Restore(io.NopCloser(&file)); err != nil {
		log.Fatal(err)
	}
	at, err := two.Position()
	fmt.Println(one.score(1), two.score(1), at.Index, err)
	// Output: 150 100 7 <nil>
}
