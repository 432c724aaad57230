package manifest

import "go.yaml.in/yaml/v3"

// maxRepeated is how many bytes the aliases of a document may repeat. The parser limits how
// many nodes they repeat, and not how large these are: without a limit a small document can
// take any amount of memory.
const maxRepeated = 16 << 20

// nodeBytes is what a node takes beside its text.
const nodeBytes = 16

// expansion is the sizes of the nodes of a document with their aliases replaced by what they
// stand for.
type expansion struct {
	sizes    map[*yaml.Node]int
	repeated int
}

func newExpansion() *expansion { return &expansion{sizes: map[*yaml.Node]int{}} }

// tooLarge returns the alias with which the node repeats too much, nil if none does.
func (e *expansion) tooLarge(node *yaml.Node) *yaml.Node {
	_, alias := e.measure(node)
	return alias
}

// measure returns the size of the node, of which aliases have been measured: what they
// stand for comes before them.
func (e *expansion) measure(node *yaml.Node) (size int, tooLarge *yaml.Node) {
	if node == nil {
		return 0, nil
	}
	size = nodeBytes + len(node.Value)
	for _, child := range node.Content {
		below, alias := e.measure(child)
		if alias != nil {
			return 0, alias
		}
		size += below
	}
	if node.Kind == yaml.AliasNode {
		size = e.sizes[node.Alias] // 0 within itself, which the parser refuses
		if e.repeated += size; e.repeated > maxRepeated {
			return 0, node
		}
	}
	if node.Anchor != "" {
		e.sizes[node] = size
	}
	return size, nil
}
