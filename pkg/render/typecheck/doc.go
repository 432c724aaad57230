// Package typecheck finds out whether the templates of a policy fit the types
// of the objects that they read: the Source and the references. It knows types
// from OpenAPI documents and from CustomResourceDefinitions.
//
// Everything here is a pure function of its arguments. What is not known of a
// type, or of what a template reads, is no finding: a policy that works is never
// said to be wrong because a schema is missing, too large or broken.
package typecheck
