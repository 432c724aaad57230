package memory

import "slices"

// set is a set of imports. Most sets have one member, which a slice holds in little
// memory; the few that many imports share have a map beside it, so that no operation
// on a single member takes longer the more members there are. A nil set is empty.
type set struct {
	members []Import
	// at are the positions of the members; nil for up to fewMembers of them.
	at map[Import]int
}

// fewMembers is up to how many members searching a slice is faster than a map.
const fewMembers = 8

func (s *set) find(i Import) (at int, ok bool) {
	if s.at != nil {
		at, ok = s.at[i]
		return at, ok
	}
	at = slices.Index(s.members, i)
	return at, at >= 0
}

func (s *set) add(i Import) {
	if _, ok := s.find(i); ok {
		return
	}
	s.members = append(s.members, i)
	switch {
	case s.at != nil:
		s.at[i] = len(s.members) - 1
	case len(s.members) > fewMembers:
		s.at = make(map[Import]int, len(s.members))
		for at, member := range s.members {
			s.at[member] = at
		}
	}
}

// remove reports whether the set is empty after it.
func (s *set) remove(i Import) (empty bool) {
	at, ok := s.find(i)
	if !ok {
		return len(s.members) == 0
	}
	last := len(s.members) - 1
	s.members[at] = s.members[last]
	s.members[last] = Import{}
	s.members = s.members[:last]
	if s.at != nil {
		delete(s.at, i)
		if at < last {
			s.at[s.members[at]] = at
		}
	}
	return last == 0
}

// list returns the members. The first stays the first until it is removed.
func (s *set) list() []Import {
	if s == nil {
		return nil
	}
	return slices.Clone(s.members)
}
