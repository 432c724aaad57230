package devcluster

import "fmt"

// Authority is a certificate authority in PEM for a made-up cluster, with the
// name of the cluster before it. Nothing has a certificate of it.
func Authority(cluster string) []byte {
	return fmt.Appendf(nil, "the authority of %s\n%s", cluster, madeUpAuthority)
}

// Client is a client certificate that a made-up authority has signed, and its
// key, in PEM. They open nothing.
func Client() (certificate, key []byte) { return []byte(madeUpCertificate), []byte(madeUpKey) }

// The same credentials as in artifacts/platforms.
const (
	madeUpAuthority = `-----BEGIN CERTIFICATE-----
MIIBazCCARGgAwIBAgIBATAKBggqhkjOPQQDAjAcMRowGAYDVQQDExFtYWRlLXVw
IGF1dGhvcml0eTAgFw0yMDAxMDEwMDAwMDBaGA85OTk5MTIzMTIzNTk1OVowHDEa
MBgGA1UEAxMRbWFkZS11cCBhdXRob3JpdHkwWTATBgcqhkjOPQIBBggqhkjOPQMB
BwNCAAQ5uvhvdfScw2WQJnd3GA033xQw1pcLEO9MQ1NuqC/pAgHVujyXPYZK+FO3
t1u5wK0Yso+NwRQwEChqW5DaSUyqo0IwQDAOBgNVHQ8BAf8EBAMCAgQwDwYDVR0T
AQH/BAUwAwEB/zAdBgNVHQ4EFgQUlVaRRm3UqnEp1EYjGWGA5q/sQyswCgYIKoZI
zj0EAwIDSAAwRQIhAN4/TyMN+WdbS7cmIPTPL8Iu8Ly2+5ENIukeSd0oQgsKAiAn
+tu7FF+29tQ21gLd7lQxxLQXbGXEf1qgbVUl1agctg==
-----END CERTIFICATE-----
`
	madeUpCertificate = `-----BEGIN CERTIFICATE-----
MIIBSzCB8qADAgECAgECMAoGCCqGSM49BAMCMBwxGjAYBgNVBAMTEW1hZGUtdXAg
YXV0aG9yaXR5MCAXDTIwMDEwMTAwMDAwMFoYDzk5OTkxMjMxMjM1OTU5WjAYMRYw
FAYDVQQDEw1tYWRlLXVwIGFkbWluMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE
OzEutDjax5wBwfWMZ4eSGwrSZl6eajmchog6tw5SE18kQ++W+Uwj2offtfgIVd3G
vJbKKt+2ewQUOl5gd4bqhaMnMCUwDgYDVR0PAQH/BAQDAgeAMBMGA1UdJQQMMAoG
CCsGAQUFBwMCMAoGCCqGSM49BAMCA0gAMEUCIQCa2PuqpaMsB5vCif92JMLHUGQQ
NS7Dsk5hjKcBv10nTQIgMctHh+X8CtpIqHnbyozYmqnq1H/l5G6r01yn89hTGvU=
-----END CERTIFICATE-----
`
	madeUpKey = `-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQge/N0sUX9muiZZopk
FT5bjTc/bERpBWd8HYmAhqgKdryhRANCAAQ7MS60ONrHnAHB9Yxnh5IbCtJmXp5q
OZyGiDq3DlITXyRD75b5TCPah9+1+AhV3ca8lsoq37Z7BBQ6XmB3huqF
-----END PRIVATE KEY-----
`
)
