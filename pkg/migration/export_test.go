package migration

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/rand"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"
)

const namespace = "system"

// objects returns that many objects with that much text each, which does not
// compress well.
func objects(count, text int) (list []unstructured.Unstructured) {
	for i := range count {
		list = append(list, unstructured.Unstructured{Object: map[string]any{
			"apiVersion": "policy.clusterpedia.io/v1alpha1", "kind": "PediaClusterLifecycle",
			"metadata": map[string]any{"name": fmt.Sprint("one-", i), "uid": fmt.Sprint("uid-", i), "generation": int64(i)},
			"spec":     map[string]any{"template": rand.String(text)},
		}})
	}
	return list
}

func TestAnExportIsReadAsItWasWritten(t *testing.T) {
	for name, test := range map[string]struct{ count, text, atLeast int }{
		"nothing":      {0, 0, 1},
		"one":          {1, 10, 1},
		"many Secrets": {40, 100_000, 3},
	} {
		t.Run(name, func(t *testing.T) {
			client := fake.NewClientset()
			if got, record, err := Read(t.Context(), client, namespace); got != nil || record != nil || err != nil {
				t.Fatal("there is an export before one was written: ", record, err)
			}
			want := objects(test.count, test.text)
			written, err := Write(t.Context(), client, namespace, want)
			if err != nil {
				t.Fatal(err)
			}
			if written.Secrets < test.atLeast {
				t.Errorf("it is in %d Secrets", written.Secrets)
			}
			got, record, err := Read(t.Context(), client, namespace)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Error(diff)
			}
			if diff := cmp.Diff(written, record); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestAnExportThatTheServerMayNotReadIsNotWritten(t *testing.T) {
	client := fake.NewClientset()
	first, err := Write(t.Context(), client, namespace, objects(1, 10))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Write(t.Context(), client, namespace, objects(40, 300_000)); err == nil || !strings.Contains(err.Error(), "the server may read 8") {
		t.Error(err)
	}
	if record, err := ReadRecord(t.Context(), client, namespace); err != nil || record.SHA256 != first.SHA256 {
		t.Errorf("the first export is lost: %+v, %v", record, err)
	}
}

func TestADamagedExportIsNotRead(t *testing.T) {
	chunks, record, err := encode(objects(3, 10))
	if err != nil {
		t.Fatal(err)
	}
	other, _, err := encode(objects(3, 10))
	if err != nil {
		t.Fatal(err)
	}
	fewer := *record
	fewer.Objects--
	for name, test := range map[string]struct {
		chunks [][]byte
		record *Record
		told   string
	}{
		"no text":       {[][]byte{[]byte("rubbish")}, record, "hold no export"},
		"cut off":       {[][]byte{chunks[0][:len(chunks[0])-20]}, record, "damaged"},
		"of another":    {other, record, "its record says 3 objects"},
		"another count": {chunks, &fewer, "its record says 2 objects"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := decode(test.chunks, test.record); err == nil || !strings.Contains(err.Error(), test.told) {
				t.Errorf("want %q, got: %v", test.told, err)
			}
		})
	}
}

func TestAnotherExportTakesThePlaceOfTheFirst(t *testing.T) {
	client := fake.NewClientset()
	first, err := Write(t.Context(), client, namespace, objects(40, 100_000))
	if err != nil {
		t.Fatal(err)
	}
	if err := markImported(t.Context(), client, namespace, first, "storage"); err != nil {
		t.Fatal(err)
	}
	record, err := ReadRecord(t.Context(), client, namespace)
	if err != nil || record.ImportedBy != "storage" {
		t.Fatal("it is not recorded who took the export over: ", record, err)
	}
	second, err := Write(t.Context(), client, namespace, objects(1, 10))
	if err != nil {
		t.Fatal(err)
	}
	got, record, err := Read(t.Context(), client, namespace)
	if err != nil || len(got) != 1 || record.ImportedBy != types.UID("") || record.SHA256 != second.SHA256 {
		t.Errorf("read %d objects, %+v, %v", len(got), record, err)
	}
	if err := markImported(t.Context(), client, namespace, first, "storage"); err == nil || !strings.Contains(err.Error(), "has changed") {
		t.Error("the second export counts as taken over when the first was: ", err)
	}
	if err := Remove(t.Context(), client, namespace); err != nil {
		t.Fatal(err)
	}
	if _, record, err := Read(t.Context(), client, namespace); record != nil || err != nil {
		t.Error("it is still there: ", record, err)
	}
}

func TestABrokenOffExportDoesNotForgetWhatItReplaces(t *testing.T) {
	for _, storage := range []types.UID{"", "storage"} {
		testBrokenOff(t, storage)
	}
}

func testBrokenOff(t *testing.T, storage types.UID) {
	t.Helper()
	client := fake.NewClientset()
	first, err := Write(t.Context(), client, namespace, objects(1, 10))
	if err != nil {
		t.Fatal(err)
	}
	if err := markImported(t.Context(), client, namespace, first, storage); err != nil {
		t.Fatal(err)
	}
	broken := true
	client.PrependReactor("create", "secrets", func(clienttesting.Action) (bool, runtime.Object, error) {
		return broken, nil, apierrors.NewInternalError(fmt.Errorf("broken off"))
	})
	for range 2 {
		if _, err := Write(t.Context(), client, namespace, objects(2, 10)); err == nil {
			t.Fatal("it was not broken off")
		}
		if _, record, err := Read(t.Context(), client, namespace); record != nil || err != nil {
			t.Errorf("half of an export counts as one: %+v, %v", record, err)
		}
	}
	if err := markImported(t.Context(), client, namespace, first, storage); err == nil {
		t.Error("the first export counts as taken over though it is gone")
	}
	broken = false
	if _, err := Write(t.Context(), client, namespace, objects(2, 10)); err != nil {
		t.Fatal(err)
	}
	got, record, err := Read(t.Context(), client, namespace)
	if err != nil || len(got) != 2 || record.Replaces != storage || record.ImportedBy != "" {
		t.Errorf("read %d objects, %+v, %v", len(got), record, err)
	}
}

func TestAnExportIsTakenOverAgain(t *testing.T) {
	client := fake.NewClientset()
	first, err := Write(t.Context(), client, namespace, objects(1, 10))
	if err != nil {
		t.Fatal(err)
	}
	if err := markImported(t.Context(), client, namespace, first, "storage"); err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second changes nothing
		if err := Unconfirm(t.Context(), client, namespace); err != nil {
			t.Fatal(err)
		}
		got, record, err := Read(t.Context(), client, namespace)
		if err != nil || len(got) != 1 || record.Replaces != "storage" || record.ImportedBy != "" {
			t.Errorf("read %d objects, %+v, %v", len(got), record, err)
		}
	}
}
