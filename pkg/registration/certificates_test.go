package registration

import (
	"crypto/x509"
	"encoding/base64"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/types"
)

const validity = 90 * 24 * time.Hour

var (
	start = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	names = (&Config{Service: types.NamespacedName{Namespace: "system", Name: "server"}}).names()
)

func always(*x509.Certificate) bool { return true }
func never(*x509.Certificate) bool  { return false }

// fresh returns the data of a Secret made at the start.
func fresh(t *testing.T) map[string][]byte {
	t.Helper()
	var m material
	made, err := m.renew(names, validity, start, never)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"an authority", "a serving certificate"}, made); diff != "" {
		t.Fatal(diff)
	}
	return dataOf(t, &m)
}

func dataOf(t *testing.T, m *material) map[string][]byte {
	t.Helper()
	data, err := m.data()
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// trusts reports whether a client with the bundle takes the certificate for the Service.
func trusts(bundle []*x509.Certificate, certificate *x509.Certificate, now time.Time) error {
	roots := x509.NewCertPool()
	for _, authority := range bundle {
		roots.AddCert(authority)
	}
	_, err := certificate.Verify(x509.VerifyOptions{Roots: roots, DNSName: "server.system.svc", CurrentTime: now})
	return err
}

func TestWhatIsMadeIsReadBackAndNeedsNothing(t *testing.T) {
	data := fresh(t)
	m, damage := read(data, names, start)
	if len(damage) > 0 {
		t.Fatal(damage)
	}
	for _, name := range append(names, "127.0.0.1") {
		if err := m.serving.VerifyHostname(name); err != nil {
			t.Error(err)
		}
	}
	if err := trusts(m.authorities, m.serving, start); err != nil {
		t.Error(err)
	}
	if made, err := m.renew(names, validity, start, always); err != nil || len(made) > 0 {
		t.Errorf("made %v, %v", made, err)
	}
	if diff := cmp.Diff(data, dataOf(t, &m)); diff != "" {
		t.Error(diff)
	}
	// A reader whose clock is behind takes it too.
	if err := trusts(m.authorities, m.serving, start.Add(-clockSlack/2)); err != nil {
		t.Error(err)
	}
}

func TestDamageIsToldAndMendedWithWhatIsSound(t *testing.T) {
	other := fresh(t)
	both := []string{"an authority", "a serving certificate"}
	tests := []struct {
		name   string
		damage func(data map[string][]byte)
		told   string
		made   []string
	}{
		{"nothing", func(data map[string][]byte) { clear(data) }, "ca.crt has no authority", both},
		{"authorities are rubbish", func(data map[string][]byte) { data["ca.crt"] = []byte("rubbish") }, "ca.crt has no authority", both},
		{"an authority that is a serving certificate", func(data map[string][]byte) { data["ca.crt"] = data["tls.crt"] }, "ca.crt has no authority", both},
		{"the authority is another", func(data map[string][]byte) { data["ca.crt"] = other["ca.crt"] }, "tls.crt is not trusted by ca.crt", both},
		{"an authority of the future", func(data map[string][]byte) {
			var m material
			if _, err := m.renew(names, validity, start.Add(clockSlack*2), never); err != nil {
				t.Fatal(err)
			}
			maps.Copy(data, dataOf(t, &m))
		}, "ca.crt has no authority", both},
		{"no key of the authority", func(data map[string][]byte) { delete(data, "ca.key") }, "ca.key is not the key", both[:1]},
		{"another key of the authority", func(data map[string][]byte) { data["ca.key"] = other["ca.key"] }, "ca.key is not the key", both[:1]},
		{"the certificate is rubbish", func(data map[string][]byte) { data["tls.crt"] = []byte("rubbish") }, "tls.crt and tls.key are not", both[1:]},
		{"another key", func(data map[string][]byte) { data["tls.key"] = other["tls.key"] }, "tls.crt and tls.key are not", both[1:]},
		{"a key in another form", func(data map[string][]byte) {
			data["tls.key"] = []byte("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n")
		},
			"tls.crt and tls.key are not", both[1:]},
		{"another certificate and key", func(data map[string][]byte) { data["tls.crt"], data["tls.key"] = other["tls.crt"], other["tls.key"] },
			"tls.crt is not trusted by ca.crt", both[1:]},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			data := fresh(t)
			test.damage(data)
			m, damage := read(data, names, start)
			told := strings.Join(damage, "; ")
			if !strings.Contains(told, test.told) {
				t.Errorf("%q is not told in %q", test.told, told)
			}
			for _, value := range data {
				if len(value) > 0 && (strings.Contains(told, string(value)) || strings.Contains(told, base64.StdEncoding.EncodeToString(value))) {
					t.Errorf("a value is told: %q", told)
				}
			}
			made, err := m.renew(names, validity, start, never)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.made, made); diff != "" {
				t.Error(diff)
			}
			if _, damage := read(dataOf(t, &m), names, start); len(damage) > 0 {
				t.Errorf("still damaged: %v", damage)
			}
		})
	}
}

func TestReplicasWithDifferentNamesAgree(t *testing.T) {
	m, damage := read(fresh(t), []string{"renamed.system.svc"}, start)
	if len(damage) != 1 || !strings.Contains(damage[0], "not for renamed.system.svc") {
		t.Errorf("%v", damage)
	}
	made, err := m.renew([]string{"renamed.system.svc"}, validity, start, never)
	if err != nil || !slices.Equal(made, []string{"a serving certificate"}) {
		t.Fatal(made, err)
	}
	data := dataOf(t, &m)
	for _, names := range [][]string{names, {"renamed.system.svc"}} {
		if _, damage := read(data, names, start); len(damage) > 0 {
			t.Errorf("for %v: %v", names, damage)
		}
	}
}

// Over many lifetimes, what is served is always trusted by a host that knows
// the authorities a step later than the Secret has them.
func TestNothingIsServedThatTheHostDoesNotTrustYet(t *testing.T) {
	data := fresh(t)
	m, _ := read(data, names, start)
	carried, serving, newest := m.authorities, m.serving, m.authority()
	// With this step an authority and a certificate are due at the same time.
	step := validity / 30
	certificates, authorities := 0, 0
	for now := start; now.Before(start.Add(40 * validity)); now = now.Add(step) {
		m, damage := read(data, names, now)
		if len(damage) > 0 {
			t.Fatalf("after %s: %v", now.Sub(start), damage)
		}
		known := func(authority *x509.Certificate) bool { return slices.ContainsFunc(carried, authority.Equal) }
		if _, err := m.renew(names, validity, now, known); err != nil {
			t.Fatal(err)
		}
		if err := trusts(carried, m.serving, now); err != nil {
			t.Fatalf("after %s the host does not trust what is served: %v", now.Sub(start), err)
		}
		// A replica that is a step behind serves the former certificate.
		if err := trusts(m.authorities, serving, now); err != nil {
			t.Fatalf("after %s the host does not trust what was served: %v", now.Sub(start), err)
		}
		if left := m.serving.NotAfter.Sub(now); left < validity/4 {
			t.Fatalf("after %s the certificate has only %s left", now.Sub(start), left)
		}
		if m.serving.NotAfter.After(m.authority().NotAfter) || len(m.authorities) > 2 {
			t.Fatalf("after %s: %d authorities, the newest until %s", now.Sub(start), len(m.authorities), m.authority().NotAfter)
		}
		if !m.serving.Equal(serving) {
			certificates++
		}
		if !m.authority().Equal(newest) {
			authorities++
		}
		serving, newest, carried, data = m.serving, m.authority(), m.authorities, dataOf(t, &m)
	}
	// 40 lifetimes, of which two thirds are used each time.
	if certificates < 55 || certificates > 60 || authorities < 5 || authorities > 6 {
		t.Errorf("%d certificates and %d authorities were made", certificates, authorities)
	}
}

func TestAnAuthorityNobodyKnowsSignsWhenThereIsNothingElse(t *testing.T) {
	data := fresh(t)
	delete(data, signerKey)
	now := start.Add(validity * 9 / 10)
	m, _ := read(data, names, now)
	if made, err := m.renew(names, validity, now, never); err != nil || !slices.Equal(made, []string{"an authority"}) {
		t.Fatal(made, err)
	}
	if next := m.nextRenewal(validity); next.After(now) {
		t.Errorf("the next renewal is at %s", next)
	}
	data = dataOf(t, &m)
	now = start.Add(validity + time.Second)
	m, _ = read(data, names, now)
	if made, err := m.renew(names, validity, now, never); err != nil || !slices.Equal(made, []string{"a serving certificate"}) {
		t.Fatal(made, err)
	}
}

func TestAShorterValidityCountsFromTheNextRenewalAndALongerOneAtOnce(t *testing.T) {
	m, _ := read(fresh(t), names, start)
	if made, err := m.renew(names, validity/10, start, always); err != nil || len(made) > 0 {
		t.Error(made, err)
	}
	if made, err := m.renew(names, validity*10, start, always); err != nil || len(made) != 2 {
		t.Error(made, err)
	}
}

func TestAnAuthorityIsTrustedWhenTheAPIServiceHasCarriedItForAMoment(t *testing.T) {
	var one, another material
	for _, m := range []*material{&one, &another} {
		if err := m.makeAuthority(validity, start); err != nil {
			t.Fatal(err)
		}
	}
	r := &Registrar{config: Config{Validity: validity}}
	check := func(what string, m *material, want bool) {
		t.Helper()
		if got := r.trusted(m.authority()); got != want {
			t.Errorf("%s: trusted is %v", what, got)
		}
	}
	check("not carried", &one, false)
	r.carries(one.authority())
	check("carried just now", &one, false)
	r.carried.since = r.carried.since.Add(-maxSettling)
	r.carries(one.authority())
	check("carried for long", &one, true)
	check("another one is carried", &another, false)
	r.carries(another.authority())
	check("carried no longer", &one, false)
	check("carried just now", &another, false)
}

// Whatever is in the Secret, reading it ends, and renewing it mends it.
func FuzzRead(f *testing.F) {
	var m material
	if _, err := m.renew(names, validity, start, never); err != nil {
		f.Fatal(err)
	}
	sound, err := m.data()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(sound["ca.crt"], sound["ca.key"], sound["tls.crt"], sound["tls.key"])
	f.Add([]byte("-----BEGIN"), []byte("-----BEGIN PRIVATE KEY-----"), []byte{}, []byte{0})
	f.Fuzz(func(t *testing.T, authorities, signer, certificate, key []byte) {
		data := map[string][]byte{"ca.crt": authorities, "ca.key": signer, "tls.crt": certificate, "tls.key": key}
		before := maps.Clone(data)
		m, _ := read(data, names, start)
		if _, err := m.renew(names, validity, start, never); err != nil {
			t.Fatal(err)
		}
		if _, damage := read(dataOf(t, &m), names, start); len(damage) > 0 {
			t.Fatal(damage)
		}
		if diff := cmp.Diff(before, data); diff != "" {
			t.Error(diff)
		}
	})
}
