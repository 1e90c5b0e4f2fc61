package arena

// GuardSupport says whether a guard works on this machine.
type GuardSupport struct {
	Guard Guard
	// Err is nil if it does; else the reason, with the remedy. errors.Is
	// ErrNotSupported tells a definite no from a probe that could not tell.
	Err error
	// Note says what is slower than it could be, of a guard that works.
	Note string
}

// Probe tries out what each guard needs. The first that works is what GuardAuto
// takes, but for GuardShadow, which must be asked for: it doubles the memory.
func Probe() []GuardSupport {
	return []GuardSupport{
		{Guard: GuardUserfault, Err: probeUserfault(), Note: noteUserfault()},
		{Guard: GuardShadow, Err: probeShadow()},
		{Guard: GuardMprotect, Err: probeMprotect()},
		{Guard: GuardCopy, Err: probeCopy()},
	}
}

// probeCopy: the copy guard needs a reservation and nothing else.
func probeCopy() error {
	a, err := New(Options{Guard: GuardCopy, MaxSize: blockSize})
	if err != nil {
		return err
	}
	return a.Close()
}
