package install

import (
	"testing"

	"k8s.io/apimachinery/pkg/api/apitesting/roundtrip"

	"github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy/fuzzer"
)

func TestEveryTypeSurvivesConversionAndEncoding(t *testing.T) {
	roundtrip.RoundTripTestForAPIGroup(t, Install, fuzzer.Funcs)
}
