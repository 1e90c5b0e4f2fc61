package main

import (
	"runtime"
	"sync"
	"sync/atomic"
)

// spinner is another thread of this process that runs all the time: what makes
// a process busy. It does nothing but run, which is enough to make the kernel
// interrupt its processor whenever a page's protection changes.
type spinner struct {
	stopped atomic.Bool
	done    sync.WaitGroup
}

// spin starts one on the given processor and returns when it runs.
func spin(processor int) (*spinner, error) {
	s := new(spinner)
	running := make(chan error)
	s.done.Go(func() {
		// Never unlocked: the thread ends with the goroutine, and so does what
		// was done to it.
		runtime.LockOSThread()
		_, err := pin(processor)
		running <- err
		for err == nil && !s.stopped.Load() {
		}
	})
	return s, <-running
}

// stop ends it.
func (s *spinner) stop() {
	s.stopped.Store(true)
	s.done.Wait()
}
