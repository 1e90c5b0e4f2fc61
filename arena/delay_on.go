//go:build trapdelay

package arena

import (
	"math/rand/v2"
	"runtime"
	"time"
)

// delay dawdles at one call of eight, so that windows between two steps are hit.
func delay() {
	switch rand.IntN(16) {
	case 0:
		runtime.Gosched()
	case 1:
		time.Sleep(time.Duration(rand.IntN(50)) * time.Microsecond)
	}
}
