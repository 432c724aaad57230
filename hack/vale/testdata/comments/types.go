package testdata

// Policy is left to its users.
type Policy struct {
	// name is mispeled.
	Name string
}
