package intern

import (
	"strconv"
	"testing"
	"time"
	"unsafe"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func object(name string) *metav1.PartialObjectMetadata {
	return &metav1.PartialObjectMetadata{
		TypeMeta: metav1.TypeMeta{Kind: text("Widget")},
		ObjectMeta: metav1.ObjectMeta{
			Name:              text(name),
			CreationTimestamp: metav1.NewTime(time.Unix(1, 0)),
			Labels:            map[string]string{"a": "b"},
			Finalizers:        []string{text("example.com/finalizer")},
			ManagedFields:     []metav1.ManagedFieldsEntry{{FieldsV1: metav1.NewFieldsV1(`{"f:spec":{}}`)}},
		},
	}
}

// text returns a string of its own, as decoding does.
func text(s string) string { return string([]byte(s)) }

func TestEqualTextIsShared(t *testing.T) {
	pool := &Pool{}
	first := object("first")
	pool.Share(first)
	// So many names come between two objects that the first ones are forgotten.
	for i := range 3 * generation {
		pool.Share(&struct{ Name, Again string }{strconv.Itoa(i), text("Widget")})
		if i%generation == 0 {
			pool.Share(object("between"))
		}
	}
	second := object("second")
	pool.Share(second)

	if diff := cmp.Diff(object("second"), second); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if unsafe.StringData(first.Kind) != unsafe.StringData(second.Kind) {
		t.Error("a string is not shared")
	}
	if unsafe.StringData(first.Finalizers[0]) != unsafe.StringData(second.Finalizers[0]) {
		t.Error("a string in a slice is not shared")
	}
	if &first.ManagedFields[0].FieldsV1.GetRawBytes()[0] != &second.ManagedFields[0].FieldsV1.GetRawBytes()[0] {
		t.Error("managed fields are not shared")
	}
	if &first.Finalizers[0] == &second.Finalizers[0] {
		t.Error("a slice is shared that may be written to")
	}
}

func TestWhatDoesNotComeAgainIsForgotten(t *testing.T) {
	pool := &Pool{}
	for i := range 10 * generation {
		pool.Share(&struct{ Name string }{strconv.Itoa(i)})
	}
	if held := len(pool.strings.now) + len(pool.strings.before); held > 2*generation {
		t.Errorf("%d strings are held", held)
	}
}

func BenchmarkShare(b *testing.B) {
	pool := &Pool{}
	b.ReportAllocs()
	for b.Loop() {
		pool.Share(object("one"))
	}
}
