package memory

import (
	"fmt"
	"testing"

	"k8s.io/apimachinery/pkg/runtime/schema"
)

// Each benchmark goes round the same number of imports, however many there are:
// what it measures must not grow with the number of imports.
const probed = 1_000

func importNumber(n int) Import { return Import{Policy: "mcp", Name: fmt.Sprintf("cluster-%06d", n)} }

func secretNumber(n int) Object {
	return Object{GroupResource: schema.GroupResource{Resource: "secrets"}, Namespace: "mcp-system", Name: fmt.Sprintf("cluster-%06d-auth", n)}
}

func sourceNumber(n int) Object {
	return Object{GroupResource: schema.GroupResource{Group: "cluster.mcp.io", Resource: "clusters"}, Name: fmt.Sprintf("cluster-%06d", n)}
}

// fleet are imports of which each reads a Secret of its own and would have a
// name that another holds, and those among them that are looked at.
type fleet struct {
	*Memory
	imports          []Import
	secrets, sources []Object
	names            []string
}

func newFleet(imports int) *fleet {
	f := &fleet{Memory: New()}
	for n := range imports {
		name := fmt.Sprintf("mcp-%06d", n)
		f.SetReads(importNumber(n), []Object{secretNumber(n)})
		f.WaitFor(importNumber(n), name)
		if n%(imports/probed) == 0 {
			f.imports = append(f.imports, importNumber(n))
			f.secrets, f.sources = append(f.secrets, secretNumber(n)), append(f.sources, sourceNumber(n))
			f.names = append(f.names, name)
		}
	}
	return f
}

// onFleets runs the benchmark with a small and a large fleet. prepare returns
// what is measured, for the import of that number; it reports whether the
// result was right.
func onFleets(b *testing.B, prepare func(*fleet) func(n int) bool) {
	for _, imports := range []int{1_000, 100_000} {
		b.Run(fmt.Sprintf("imports=%d", imports), func(b *testing.B) { measure(b, prepare(newFleet(imports))) })
	}
}

func measure(b *testing.B, work func(n int) bool) {
	b.ReportAllocs()
	for n := 0; b.Loop(); n = (n + 1) % probed {
		if !work(n) {
			b.Fatalf("a wrong result for import %d", n)
		}
	}
}

// BenchmarkReaders is what the event of a Secret costs.
func BenchmarkReaders(b *testing.B) {
	onFleets(b, func(f *fleet) func(int) bool {
		return func(n int) bool {
			readers := f.Readers(f.secrets[n])
			return len(readers) == 1 && readers[0] == f.imports[n]
		}
	})
}

// BenchmarkWaiters is what each look at an import asks for.
func BenchmarkWaiters(b *testing.B) {
	onFleets(b, func(f *fleet) func(int) bool {
		return func(n int) bool {
			waiters := f.Waiters(f.names[n])
			return len(waiters) == 1 && waiters[0] == f.imports[n]
		}
	})
}

// BenchmarkAddRead announces a read that is known already, as nearly all are.
func BenchmarkAddRead(b *testing.B) {
	onFleets(b, func(f *fleet) func(int) bool {
		return func(n int) bool {
			f.AddRead(f.imports[n], f.secrets[n])
			return len(f.of(f.imports[n]).reads) == 1
		}
	})
}

// BenchmarkSetReads has an import read another object, and the former one again.
func BenchmarkSetReads(b *testing.B) {
	onFleets(b, func(f *fleet) func(int) bool {
		moved := secretNumber(1_000_000)
		return func(n int) bool {
			f.SetReads(f.imports[n], []Object{moved})
			f.SetReads(f.imports[n], f.secrets[n:n+1])
			return f.readers[moved] == nil && len(f.readers[f.secrets[n]].members) == 1
		}
	})
}

// BenchmarkUnreserve gives the name free that is kept for an import, while names
// are kept for others: for nearly a whole fleet when it is released at once.
func BenchmarkUnreserve(b *testing.B) {
	for _, others := range []int{0, 1_000, 100_000} {
		b.Run(fmt.Sprintf("reserved=%d", others), func(b *testing.B) {
			f := newFleet(probed)
			for n := range others {
				f.Reserve(fmt.Sprintf("other-%06d", n), importNumber(1_000_000+n))
			}
			measure(b, func(n int) bool {
				f.Reserve(f.names[n], f.imports[n])
				freed := f.Unreserve(f.imports[n])
				return len(freed) == 1 && freed[0] == f.names[n] && len(f.reserved) == others
			})
		})
	}
}

// BenchmarkSharedRead has an import begin to read an object that many others
// read, as clusters with one certificate authority do, and end it.
func BenchmarkSharedRead(b *testing.B) {
	for _, readers := range []int{1, 100, 10_000} {
		b.Run(fmt.Sprintf("readers=%d", readers), func(b *testing.B) {
			x, shared, newcomer := New(), secretNumber(0), importNumber(1_000_000)
			for n := range readers {
				x.AddRead(importNumber(n), shared)
			}
			measure(b, func(int) bool {
				x.AddRead(newcomer, shared)
				began := len(x.readers[shared].members) == readers+1
				x.SetReads(newcomer, nil)
				return began && len(x.readers[shared].members) == readers
			})
		})
	}
}

// BenchmarkSharedObject has all imports of a policy read an object each, and then no
// longer: a Secret of its own, or one ConfigMap that all of them share. What a shared
// object costs per import must not grow with their number.
func BenchmarkSharedObject(b *testing.B) {
	shared := Object{GroupResource: schema.GroupResource{Resource: "configmaps"}, Namespace: "mcp-system", Name: "ca"}
	for _, kind := range []struct {
		name   string
		object func(n int) Object
	}{{"own", secretNumber}, {"shared", func(int) Object { return shared }}} {
		for _, imports := range []int{10_000, 40_000} {
			b.Run(fmt.Sprintf("%s/imports=%d", kind.name, imports), func(b *testing.B) {
				all, reads := make([]Import, imports), make([][]Object, imports)
				for n := range imports {
					all[n], reads[n] = importNumber(n), []Object{kind.object(n)}
				}
				for b.Loop() {
					x := New()
					for n, i := range all {
						x.AddRead(i, reads[n][0])
						x.SetReads(i, reads[n])
					}
					if readers := x.Readers(kind.object(0)); len(readers) == 0 {
						b.Fatal("nobody reads the object")
					}
					for _, i := range all {
						x.SetReads(i, nil)
					}
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*imports), "ns/import")
			})
		}
	}
}
