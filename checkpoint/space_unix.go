//go:build linux || darwin || freebsd

package checkpoint

import (
	"math"

	"golang.org/x/sys/unix"
)

// freeSpace is what a file system says that this user may still write there.
func freeSpace(dir string) (int64, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return 0, err
	}
	free, unit := uint64(max(st.Bavail, 0)), uint64(st.Bsize)
	if unit != 0 && free > math.MaxInt64/unit {
		return math.MaxInt64, nil
	}
	return int64(free * unit), nil
}
