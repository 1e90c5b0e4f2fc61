//go:build linux

package cowheap

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cowheap/cowheap/arena"
)

var killRounds = flag.Int("kill.rounds", 20, "how often TestKilledProcess kills its child")

// bank is what the child changes: money that only moves, and a sequence number
// that is in another root, too.
type bank struct {
	Seq      uint64
	Accounts [bankAccounts]uint64
	Recent   Map[string, uint64] // the last numbers, by what they are modulo bankRecent
	Log      Vec[uint64]         // the last numbers, up to the latest
	Places   [bankPlaces]uint64  // the last numbers, by what they are modulo bankPlaces, a page apart
}

const (
	bankAccounts = 50_000 // a hundred pages
	bankRecent   = 500
	bankPlaces   = 1 << 19 // a live checkpoint reads whole blocks of 2 MiB
	bankMoney    = 1000    // of each account in the beginning
)

// A process that is killed at any moment leaves a directory that opens with
// nothing skipped, a state that is consistent, and none that is older than the
// last checkpoint that was done.
func TestKilledProcess(t *testing.T) {
	if dir := os.Getenv("CRASH_DIR"); childTask() != "" {
		checkpointForever(t, dir)
	}
	dir := t.TempDir()
	var last uint64
	halfway := 0 // rounds that died while they wrote
	for round := range *killRounds {
		reported := killedRound(t, dir, round)
		left, _ := filepath.Glob(filepath.Join(dir, "*.tmp"))
		halfway += len(left)
		seq := auditBank(t, dir, round)
		if want := max(last, reported); seq < want {
			t.Fatalf("round %d: the state is of %d, a checkpoint of %d was done", round, seq, want)
		}
		last = seq
	}
	if last == 0 {
		t.Error("no round has saved anything")
	}
	t.Logf("%d rounds, %d of them half-way through a file; %d transfers survived", *killRounds, halfway, last)
}

// killedRound lets a child work in dir, and kills it. It returns the last number
// that the child said was saved.
func killedRound(t *testing.T, dir string, round int) (reported uint64) {
	t.Helper()
	cmd := child(t, fmt.Sprint("round ", round), "CRASH_DIR="+dir)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	cmd.ExtraFiles = []*os.File{w}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	closing(t, w) // so that the child's is the only one
	reports := make(chan uint64)
	go func() {
		defer close(reports)
		for in := bufio.NewReader(r); ; {
			var b [8]byte
			if _, err := io.ReadFull(in, b[:]); err != nil {
				return
			}
			reports <- binary.LittleEndian.Uint64(b[:])
		}
	}()
	// Now and then before anything was saved, else some time after a report.
	after := rand.IntN(8)
	moment := time.Duration(rand.Int64N(int64(20 * time.Millisecond)))
	var kill <-chan time.Time
	for n := 0; reports != nil; n++ {
		if n == after {
			kill = time.After(moment)
		}
		select {
		case v, ok := <-reports:
			if !ok {
				reports = nil
				break
			}
			reported = v
		case <-kill:
			if err := cmd.Process.Kill(); err != nil {
				t.Error(err)
			}
		}
	}
	_ = cmd.Wait()
	if s := cmd.ProcessState.Sys().(syscall.WaitStatus); s.Signal() != syscall.SIGKILL {
		t.Fatalf("round %d: the child ended by itself, %v: %.3000s", round, cmd.ProcessState, out.Bytes())
	}
	return reported
}

// crashOptions are others every round.
func crashOptions(round int) *Options {
	o := &Options{Guard: arena.GuardUserfault, Keep: 1 + round%3, Lazy: round%2 == 0, Track: round%5 > 2, MaxChain: 1 + round%7}
	if round%5 < 2 {
		o.Saving = SaveLive
	}
	for _, p := range arena.Probe() {
		if p.Guard == o.Guard && (p.Err != nil || round%4 == 3) {
			return &Options{Guard: arena.GuardCopy, Keep: o.Keep}
		}
	}
	return o
}

// auditBank opens the directory and returns the number that it has come to.
func auditBank(t *testing.T, dir string, round int) (seq uint64) {
	t.Helper()
	h := have[*Heap](t)(Open(dir, crashOptions(round+1)))
	defer closing(t, h)
	if _, skipped := h.Origin(); len(skipped) > 0 {
		t.Errorf("round %d: skipped %v", round, skipped)
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "*.tmp")); len(left) > 0 {
		t.Errorf("round %d: left behind %v", round, left)
	}
	for err := range h.Check() {
		t.Errorf("round %d: %v", round, err)
	}
	err := h.View(func(m *Mem) error {
		r, err := Root[bank](m, "bank")
		if errors.Is(err, ErrNotFound) {
			return nil // killed before the first checkpoint
		}
		mirror, err2 := Root[uint64](m, "mirror")
		if err := errors.Join(err, err2); err != nil {
			return err
		}
		b := r.Ptr(m)
		seq = b.Seq
		sum := uint64(0)
		for _, v := range b.Accounts {
			sum += v
		}
		if sum != bankAccounts*bankMoney || *mirror.Ptr(m) != seq {
			return fmt.Errorf("%d in all accounts, want %d; numbers %d and %d", sum, bankAccounts*bankMoney, seq, *mirror.Ptr(m))
		}
		for i, v := range b.Log.Slice(m) {
			if v != seq-uint64(b.Log.Len()-1-i) {
				return fmt.Errorf("entry %d of %d in the log is %d, the number is %d", i, b.Log.Len(), v, seq)
			}
		}
		for n := seq; n > 0 && n+bankRecent > seq; n-- {
			if v, _ := b.Recent.Get(m, fmt.Sprint(n%bankRecent)); v != n {
				return fmt.Errorf("%d is recorded as %d", n, v)
			}
		}
		for n := seq; n > 0 && n+bankRecent > seq; n-- {
			if v := b.Places[n*512%bankPlaces]; v != n && n+bankPlaces/512 > seq {
				return fmt.Errorf("%d stands at the place of %d", v, n)
			}
		}
		return nil
	})
	if err != nil {
		t.Errorf("round %d: %v", round, err)
	}
	return seq
}

// checkpointForever is the child.
func checkpointForever(t *testing.T, dir string) {
	var round int
	have[int](t)(fmt.Sscanf(childTask(), "round %d", &round))
	h := have[*Heap](t)(Open(dir, crashOptions(round)))
	var done atomic.Uint64
	var mu sync.Mutex
	for range 2 {
		go func() {
			for {
				if err := h.Update(func(m *Mem) error {
					mu.Lock()
					defer mu.Unlock()
					n, err := transfer(m)
					done.Store(n)
					return err
				}); err != nil {
					t.Error(err)
					os.Exit(1)
				}
			}
		}()
	}
	for reports := os.NewFile(3, "reports"); ; {
		saved := done.Load() // or what comes after it
		if _, err := h.Checkpoint(t.Context()); err != nil {
			t.Fatal(err)
		}
		have[int](t)(reports.Write(binary.LittleEndian.AppendUint64(nil, saved)))
	}
}

// transfer is one step of a bank.
func transfer(m *Mem) (seq uint64, err error) {
	r, err1 := Root[bank](m, "bank")
	mirror, err2 := Root[uint64](m, "mirror")
	if err := errors.Join(err1, err2); err != nil {
		return 0, err
	}
	b := r.Ptr(m)
	if b.Seq == 0 {
		for i := range b.Accounts {
			b.Accounts[i] = bankMoney
		}
	}
	from, to := &b.Accounts[rand.IntN(bankAccounts)], &b.Accounts[rand.IntN(bankAccounts)]
	n := rand.Uint64N(*from + 1)
	*from -= n
	*to += n
	b.Seq++
	*mirror.Ptr(m) = b.Seq
	b.Places[b.Seq*512%bankPlaces] = b.Seq
	if b.Log.Len() == 5000 {
		b.Log.Clear(m)
	}
	return b.Seq, errors.Join(b.Log.Append(m, b.Seq), b.Recent.Set(m, fmt.Sprint(b.Seq%bankRecent), b.Seq))
}
