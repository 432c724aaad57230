package render

import (
	"errors"
	"testing"
)

func TestADeletionTakesBothConditions(t *testing.T) {
	broken := errors.New("broken")
	holds := Conversion{DeletionCondition: Condition{Holds: true, Text: "true"}}
	doesNot := Conversion{DeletionCondition: Condition{Text: "false"}}
	none := Conversion{}
	missing := Conversion{DeletionUnknown: true}
	fails := Conversion{DeletionUnknown: true, DeletionCondition: Condition{Err: broken}}
	for _, test := range []struct {
		name            string
		recorded, other Conversion
		holds, unknown  bool
		err             error
	}{
		{"both hold", holds, holds, true, false, nil},
		{"the newest does not", holds, doesNot, false, false, nil},
		{"the newest has none", holds, none, false, false, nil},
		{"the newest cannot be asked", holds, missing, false, true, nil},
		{"the newest fails", holds, fails, false, true, broken},
		{"the recorded one does not", doesNot, holds, false, false, nil},
		{"there was none", none, holds, false, false, nil},
		{"the recorded one cannot be asked", missing, holds, false, true, nil},
		{"the recorded one fails", fails, holds, false, true, broken},
		{"the recorded one fails, and the newest does not hold", fails, doesNot, false, false, nil},
	} {
		got := test.recorded
		got.DeleteOnlyWith(&test.other)
		holds := got.DeletionCondition.Holds && got.DeletionCondition.Err == nil
		if holds != test.holds || got.DeletionUnknown != test.unknown || !errors.Is(got.DeletionCondition.Err, test.err) {
			t.Errorf("%s: %+v", test.name, got.DeletionCondition)
		}
	}
}
