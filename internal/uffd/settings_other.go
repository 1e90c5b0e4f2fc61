//go:build !linux

package uffd

// ReadSettings knows nothing on this system.
func ReadSettings() Settings {
	return Settings{Overcommit: -1, MaxMapCount: -1, UnprivilegedUffd: -1}
}
