//go:build race

package engine

// underRace says that the race detector is on, which makes some work a hundred
// times slower.
const underRace = true
