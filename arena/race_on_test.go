//go:build race

package arena

// underRace: every byte that is copied is looked at by the race detector.
const underRace = true
