package render

// DeleteOnlyWith has the PediaCluster deleted only when the deletion condition of the other
// conversion holds as well: while an import waits for its turn to take an edit, neither the
// edit nor what it replaces deletes by itself. What is not known of either is not known of
// both, unless the other says no.
func (c *Conversion) DeleteOnlyWith(other *Conversion) {
	switch {
	case c.DeletionCondition.Err == nil && c.DeletionCondition.Holds:
		c.DeletionCondition, c.DeletionUnknown = other.DeletionCondition, other.DeletionUnknown
	case c.DeletionUnknown && !other.DeletionUnknown && !other.DeletionCondition.Holds:
		c.DeletionCondition, c.DeletionUnknown = Condition{}, false
	}
}

// MayDelete reports whether the deletion condition holds, or whether that is not known.
func (c *Conversion) MayDelete() bool {
	return c.DeletionUnknown || c.DeletionCondition.Holds && c.DeletionCondition.Err == nil
}
