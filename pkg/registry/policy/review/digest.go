package review

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
)

// newDigest returns a function that turns a credential into something that can
// be shown. Equal credentials have equal digests. Each answer has a key of its
// own, so that nobody can try out guesses against an answer in some log by
// asking again.
func newDigest() func(credential string) string {
	key := make([]byte, sha256.Size)
	_, _ = rand.Read(key) // never fails
	return func(credential string) string {
		mac := hmac.New(sha256.New, key)
		mac.Write([]byte(credential))
		size := base64.StdEncoding.DecodedLen(len(credential))
		if decoded, err := base64.StdEncoding.DecodeString(credential); err == nil {
			size = len(decoded)
		}
		return fmt.Sprintf("hmac-sha256:%x(%d bytes)", mac.Sum(nil)[:16], size)
	}
}
