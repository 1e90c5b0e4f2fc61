//go:build !linux

package cowheap

import (
	"os/exec"
	"testing"
)

func asNobody(t testing.TB, _ *exec.Cmd) { t.Skip("on Linux only") }
