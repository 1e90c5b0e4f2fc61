package arena

import "unsafe"

// Base is the address of offset 0. It stays the same until Close.
func (a *Arena) Base() unsafe.Pointer { return a.mem.Base() }
