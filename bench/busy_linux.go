package main

import (
	"errors"
	"fmt"
	"runtime"
	"time"
)

// stage is where something is measured with another thread of this process running,
// or without: the one that is measured and the other are pinned to two processors.
type stage struct{ procs []int }

func newStage() (s stage, err error) {
	s.procs, err = processors()
	return s, err
}

// timer takes the time of what it is given.
type timer func(do func()) (time.Duration, error)

// on calls act on a pinned thread, with what takes time under the load.
func (s stage) on(load string, act func(timer) (time.Duration, error)) (took time.Duration, err error) {
	if load == loadBusy && len(s.procs) < 2 {
		return 0, fmt.Errorf("%w (%w)", errOneProcessor, errors.ErrUnsupported)
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	unpin, err := pin(s.procs[len(s.procs)-1])
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, unpin()) }()
	return act(func(do func()) (time.Duration, error) { return s.time(load, do) })
}

// time calls do, with another thread running if load says so.
func (s stage) time(load string, do func()) (time.Duration, error) {
	if load == loadBusy {
		spinner, err := spin(s.procs[0])
		if err != nil {
			return 0, err
		}
		defer spinner.stop()
	}
	return quiet(do)
}

// quiet is the timer without a load.
func quiet(do func()) (time.Duration, error) {
	start := time.Now()
	do()
	return time.Since(start), nil
}
