package app

import (
	"strings"
	"testing"
)

func TestRegistrationFlagsThatContradictAreRefused(t *testing.T) {
	tests := []struct {
		flags []string
		want  string // in the error; empty when there is none
	}{
		{flags: []string{"--register-apiservice"}},
		{flags: []string{"--register-apiservice", "--register-service", "--service-port=8443", "--serving-certificate-validity=1m"}},
		{flags: []string{"--register-apiservice", "--tls-cert-file=a", "--tls-private-key-file=b"}},
		{flags: []string{"--register-apiservice", "--tls-cert-file=a", "--tls-private-key-file=b", "--apiservice-ca-file=c"}},
		{flags: []string{"--register-service"}, want: "--register-service needs --register-apiservice"},
		{flags: []string{"--apiservice-ca-file=c"}, want: "--apiservice-ca-file needs --register-apiservice"},
		{flags: []string{"--register-apiservice", "--apiservice-ca-file=c"}, want: "--apiservice-ca-file needs --tls-cert-file"},
		{flags: []string{"--register-apiservice", "--cert-dir=d"}, want: "--cert-dir"},
		{flags: []string{"--register-apiservice", "--service-name=A"}, want: "--service-name: "},
		{flags: []string{"--register-apiservice", "--service-namespace="}, want: "--service-namespace: "},
		{flags: []string{"--register-apiservice", "--service-port=0"}, want: "--service-port: "},
		{flags: []string{"--register-apiservice", "--serving-certificate-validity=59s"}, want: "--serving-certificate-validity must be at least 1m0s"},
	}
	for _, test := range tests {
		t.Run(strings.Join(test.flags, " "), func(t *testing.T) {
			err := parse(t, test.flags...).Validate()
			switch {
			case test.want == "" && err != nil:
				t.Error(err)
			case test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)):
				t.Errorf("%q is not in %v", test.want, err)
			}
		})
	}
}
