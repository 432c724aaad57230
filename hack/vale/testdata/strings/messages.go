package testdata

// Comments are not read here: anew.
const (
	message = "the PediaCluster is left to its users"
	raw     = `the policy
  goes on by itself`
	name = "anew"
)
