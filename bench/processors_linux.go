package main

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// processors are the numbers of those that the calling thread may run on.
func processors() ([]int, error) {
	var set unix.CPUSet
	if err := unix.SchedGetaffinity(0, &set); err != nil {
		return nil, fmt.Errorf("asking which processors there are: %w", err)
	}
	var numbers []int
	for i := range len(set) * 64 {
		if set.IsSet(i) {
			numbers = append(numbers, i)
		}
	}
	return numbers, nil
}

// pin keeps the calling thread, to which its goroutine must be locked, on one
// processor until unpin is called.
func pin(processor int) (unpin func() error, err error) {
	var old, one unix.CPUSet
	if err := unix.SchedGetaffinity(0, &old); err != nil {
		return nil, fmt.Errorf("asking which processors there are: %w", err)
	}
	one.Set(processor)
	if err := unix.SchedSetaffinity(0, &one); err != nil {
		return nil, fmt.Errorf("moving to processor %d: %w", processor, err)
	}
	return func() error { return unix.SchedSetaffinity(0, &old) }, nil
}
