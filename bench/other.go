//go:build !linux

package main

import (
	"errors"
	"fmt"
	"runtime"
	"time"
)

// errSystem is why nothing that stands on userfaultfd can be measured here.
var errSystem = fmt.Errorf("this case needs Linux; on %s there is no userfaultfd to measure: %w", runtime.GOOS, errors.ErrUnsupported)

func openSeed(Setup) (Bench, error)     { return nil, errSystem }
func openPause(Setup) (Bench, error)    { return nil, errSystem }
func openFault(Setup) (Bench, error)    { return nil, errSystem }
func openFork(Setup) (Bench, error)     { return nil, errSystem }
func openRollback(Setup) (Bench, error) { return nil, errSystem }
func openGrowth(Setup) (Bench, error)   { return nil, errSystem }
func openRedis(Setup) (Bench, error)    { return nil, errSystem }

func openArmingTax(Setup) (Bench, error)     { return nil, errSystem }
func openCheckpointTax(Setup) (Bench, error) { return nil, errSystem }

func (b *restoreBench) copy() (time.Duration, error) { return 0, errSystem }

// needMemory cannot tell, and lets the system say so.
func needMemory(int64) error { return nil }

// pin does nothing: where a thread runs is not this program's to say here.
func pin(int) (unpin func() error, err error) { return func() error { return nil }, nil }

func evict(string) error { return errSystem }
