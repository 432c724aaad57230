package render

import (
	"cmp"
	"fmt"
	"slices"
	"time"
)

// NamedLifecycle is what the choice of a name knows of one lifecycle of an import.
type NamedLifecycle struct {
	Name string
	// Created is when the lifecycle was created.
	Created time.Time
	// Deleting lifecycles are being deleted.
	Deleting bool
	// HasPediaCluster is set when there is a PediaCluster of this import under the
	// name.
	HasPediaCluster bool
}

// Naming is under which name an import is worked on.
type Naming struct {
	// Name is the name to work under, empty when there is none for now.
	Name string
	// Behind is the lifecycle that has to be gone before the wanted name can begin,
	// empty when it can.
	Behind string
	// First are the lifecycles that have to go at once.
	First []string
}

// ChooseName decides under which name an import is worked on, given the name that
// its policy wants and the lifecycles that it has. An import has at most two
// lifecycles: while a former PediaCluster is held or being deleted, no third name
// begins, however often a tenant changes what the name is made of. A return to one
// of the two names is allowed. A lifecycle that has no PediaCluster goes first, so
// that a mistake in a name can be corrected.
func ChooseName(wanted string, lifecycles []NamedLifecycle) Naming {
	lifecycles = slices.Clone(lifecycles)
	slices.SortFunc(lifecycles, func(a, b NamedLifecycle) int {
		return cmp.Or(a.Created.Compare(b.Created), cmp.Compare(a.Name, b.Name))
	})
	own := slices.IndexFunc(lifecycles, func(l NamedLifecycle) bool { return l.Name == wanted })
	kept := keptName(lifecycles)
	switch {
	case own >= 0 && lifecycles[own].Deleting && kept != "":
		// It is made again when it is gone. The other one follows its Source until then.
		return Naming{Name: kept, Behind: wanted}
	case own >= 0, len(lifecycles) < 2:
		return Naming{Name: wanted}
	}
	naming := Naming{Name: kept}
	for _, lifecycle := range lifecycles {
		if !lifecycle.HasPediaCluster {
			naming.First = append(naming.First, lifecycle.Name)
		}
	}
	switch {
	case len(naming.First) > 0:
	case kept == "": // all are being deleted
		naming.First = []string{lifecycles[0].Name}
	default:
		former := slices.IndexFunc(lifecycles, func(l NamedLifecycle) bool { return l.Name != kept })
		naming.Behind = lifecycles[former].Name
		return naming
	}
	naming.Behind = naming.First[0]
	return naming
}

// keptName is the name of the newest lifecycle that stays and has a PediaCluster,
// empty when none has.
func keptName(lifecycles []NamedLifecycle) (name string) {
	for _, lifecycle := range lifecycles {
		if lifecycle.HasPediaCluster && !lifecycle.Deleting {
			name = lifecycle.Name
		}
	}
	return name
}

// DescribeBehind says why the wanted name cannot begin yet.
func (n Naming) DescribeBehind(wanted string) string {
	if n.Behind == wanted {
		return fmt.Sprintf("the lifecycle %q is being deleted; it is created again after that", shorten(wanted))
	}
	return fmt.Sprintf("nameTemplate renders %q now; this name is used after the lifecycle %q of a former name is deleted, which shows what it waits for",
		shorten(wanted), shorten(n.Behind))
}
