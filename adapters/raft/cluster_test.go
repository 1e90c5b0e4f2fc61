package raft

import (
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/raft"
)

// node is a replica, and what of it survives a crash.
type node struct {
	id        raft.ServerID
	store     *raft.InmemStore
	snapshots raft.SnapshotStore
	address   raft.ServerAddress
	transport *raft.InmemTransport
	bank      *bank
	raft      *raft.Raft
}

// cluster is three nodes in memory.
type cluster struct {
	t     *testing.T
	nodes [3]*node
}

func newCluster(t *testing.T) *cluster {
	c := &cluster{t: t}
	var servers []raft.Server
	for i := range c.nodes {
		snapshots, err := raft.NewFileSnapshotStore(t.TempDir(), 2, io.Discard)
		if err != nil {
			t.Fatal(err)
		}
		n := &node{
			id: raft.ServerID(fmt.Sprint("node", i)), address: raft.ServerAddress(fmt.Sprint("address", i)),
			store: raft.NewInmemStore(), snapshots: snapshots,
		}
		c.nodes[i] = n
		servers = append(servers, raft.Server{ID: n.id, Address: n.address})
	}
	for _, n := range c.nodes {
		c.start(n)
	}
	if err := c.nodes[0].raft.BootstrapCluster(raft.Configuration{Servers: servers}).Error(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for _, n := range c.nodes {
			n.raft.Shutdown().Error()
		}
	})
	return c
}

// start runs a node with an empty heap, and what its stores hold.
func (c *cluster) start(n *node) {
	c.t.Helper()
	n.bank = newBank(c.t)
	_, n.transport = raft.NewInmemTransport(n.address)
	for _, other := range c.nodes {
		if other != nil && other != n && other.transport != nil {
			n.transport.Connect(other.address, other.transport)
			other.transport.Connect(n.address, n.transport)
		}
	}
	config := raft.DefaultConfig()
	config.LocalID = n.id
	config.HeartbeatTimeout, config.ElectionTimeout = 200*time.Millisecond, 200*time.Millisecond
	config.LeaderLeaseTimeout, config.CommitTimeout = 100*time.Millisecond, 5*time.Millisecond
	// Snapshots all the time, and no more of the log than they leave.
	config.SnapshotInterval, config.SnapshotThreshold, config.TrailingLogs = 10*time.Millisecond, 20, 5
	config.LogOutput = io.Discard
	r, err := raft.NewRaft(config, n.bank, n.store, n.store, n.snapshots, n.transport)
	if err != nil {
		c.t.Fatal(err)
	}
	n.raft = r
}

// kill ends a node: its memory is gone.
func (c *cluster) kill(n *node) {
	c.t.Helper()
	for _, other := range c.nodes {
		other.transport.Disconnect(n.address)
	}
	n.transport.DisconnectAll()
	if err := n.raft.Shutdown().Error(); err != nil {
		c.t.Error(err)
	}
	if err := n.bank.Close(); err != nil {
		c.t.Error(err)
	}
}

// propose has a transfer applied, by whoever leads; it answers the entry's index.
func (c *cluster) propose(number uint64) (index uint64) {
	c.t.Helper()
	for {
		for _, n := range c.nodes {
			if n.raft.State() != raft.Leader {
				continue
			}
			future := n.raft.Apply(command(number), 0)
			if err := future.Error(); err != nil {
				continue // it leads no more
			}
			if err, ok := future.Response().(error); ok {
				c.t.Fatal(err)
			}
			return future.Index()
		}
		select {
		case <-c.t.Context().Done():
			c.t.FailNow()
		case <-time.After(time.Millisecond): // until somebody leads
		}
	}
}

// compact has every node but one snapshot what it has applied, and forget the log before it.
func (c *cluster) compact(except *node) {
	c.t.Helper()
	for _, n := range c.nodes {
		if n == except {
			continue
		}
		// A snapshot that another node's overtakes ends with an error, see Restore.
		for {
			if err := n.raft.Snapshot().Error(); err == nil || errors.Is(err, raft.ErrNothingNewToSnapshot) {
				break
			} else if errors.Is(err, raft.ErrRaftShutdown) {
				c.t.Fatal(err)
			}
		}
	}
}

// TestCluster kills a node of three while entries are applied and snapshots taken, twice: it
// comes back by its own snapshot, and by the leader's, because the log does not go back so far.
func TestCluster(t *testing.T) {
	c := newCluster(t)
	number, index := uint64(0), uint64(0)
	run := func(n int) {
		for range n {
			number++
			index = c.propose(number)
		}
	}
	run(200)
	for round := range 2 {
		c.compact(nil)
		victim := c.nodes[(round+1)%len(c.nodes)]
		c.kill(victim)
		run(200)
		c.compact(victim)
		c.start(victim)
		run(50)
		victim.bank.await(index)
		if victim.bank.restores() == 0 {
			t.Error("the node came back without a snapshot")
		}
	}

	// Entries go on while readers look at a node that installs what it missed.
	follower := c.nodes[0]
	if follower.raft.State() == raft.Leader {
		follower = c.nodes[1]
	}
	before := follower.bank.restores()
	for _, other := range c.nodes {
		if other != follower {
			other.transport.Disconnect(follower.address)
			follower.transport.Disconnect(other.address)
		}
	}
	var done atomic.Bool
	var readers sync.WaitGroup
	readers.Go(func() {
		last := uint64(0)
		for !done.Load() {
			at, err := follower.bank.Position()
			if err != nil || at.Index < last {
				t.Errorf("position %d after %d, %v", at.Index, last, err)
				return
			}
			last = at.Index
		}
	})
	run(300)
	c.compact(follower)
	for _, other := range c.nodes {
		if other != follower {
			other.transport.Connect(follower.address, follower.transport)
			follower.transport.Connect(other.address, other.transport)
		}
	}
	run(50)
	follower.bank.await(index)
	done.Store(true)
	readers.Wait()
	if follower.bank.restores() == before {
		t.Error("a follower that was cut off caught up without a snapshot")
	}

	for _, n := range c.nodes {
		n.bank.await(index)
	}
	want := c.nodes[0].bank.balances(t)
	for _, n := range c.nodes {
		if err := n.raft.Shutdown().Error(); err != nil {
			t.Error(err)
		}
		entries := n.bank.check(t)
		if entries < number { // a proposal may have been applied twice when its leader was lost
			t.Errorf("%s has %d entries of %d", n.id, entries, number)
		}
		for i, balance := range n.bank.balances(t) {
			if balance != want[i] {
				t.Fatalf("%s: account %d has %d, %s has %d", n.id, i, balance, c.nodes[0].id, want[i])
			}
		}
	}
}
