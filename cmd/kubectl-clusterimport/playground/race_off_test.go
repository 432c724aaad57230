//go:build !race

package playground

// raced says whether the race detector is on.
const raced = false
