// Package render is the one place where a policy meets a Source. It compiles
// the templates of a ClusterImportPolicy, says which Sources it selects and
// under which name, resolves references, renders the PediaCluster, and plans
// what has to be done about the one that exists.
//
// Everything here is a pure function of its arguments: no client, no clock, no
// chance. The controllers, the render subresource and the command line all
// call it, so that a preview cannot differ from what happens.
package render
