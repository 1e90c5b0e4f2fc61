package arena

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"runtime"
	"testing"
)

// readLive reads what is there, in pieces of n bytes, and calls between after each.
func readLive(l *Live, n int, between func()) (content []byte, err error) {
	content = make([]byte, l.Size())
	for off := 0; off < len(content); off += n {
		if _, err := l.ReadAt(content[off:min(off+n, len(content))], int64(off)); err != nil {
			return nil, err
		}
		between()
	}
	return content, nil
}

// settle makes content what it was at the instant.
func settle(l *Live, content []byte, at func() error) ([]byte, error) {
	s, err := l.Settle(context.Background(), at)
	if err != nil {
		return nil, err
	}
	whole := make([]byte, s.Size)
	copy(whole, content)
	for off, page := range s.Changed {
		copy(whole[off:], page)
	}
	return whole, nil
}

// liveStress reads a live once. want is what was there when writers were held last.
func liveStress(t *testing.T, a *Arena, rng *rand.Rand, want *[]byte) {
	l, err := a.Live()
	if err != nil {
		t.Error(err)
		return
	}
	defer func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	}()
	ended := false
	end := func() {
		if s, err := a.Snapshot(); err != nil {
			t.Error(err)
		} else if err := s.Close(); err != nil {
			t.Error(err)
		}
		ended = true
	}
	content, err := readLive(l, (1+rng.IntN(40))*pageSize, func() {
		if rng.IntN(100) == 0 {
			runtime.Gosched()
		}
		if !ended && rng.IntN(500) == 0 {
			end()
		}
	})
	if err == nil && !ended && rng.IntN(16) == 0 {
		end()
	}
	var got []byte
	if err == nil {
		got, err = settle(l, content, func() error { return nil })
	}
	switch {
	case ended:
		if !errors.Is(err, ErrUnsettled) {
			t.Errorf("after a snapshot: %v", err)
		}
	case errors.Is(err, ErrUnsettled):
		// On a busy machine a pass may take too long.
	case err != nil:
		t.Error(err)
	case !bytes.Equal(got, *want):
		for i := 0; i < len(got); i += pageSize {
			if !bytes.Equal(got[i:i+pageSize], (*want)[i:i+pageSize]) {
				t.Errorf("live page %d differs", i/pageSize)
			}
		}
	}
}
