package probe

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"syscall"
)

// DefaultDeny returns the addresses that no cluster has: those of this machine
// and of its link, groups, and those where clouds hand out credentials and
// metadata to whoever asks from inside. Private networks are not among them:
// that is where clusters are.
func DefaultDeny() []netip.Prefix {
	var prefixes []netip.Prefix
	for _, prefix := range []string{
		"0.0.0.0/8",          // this machine
		"127.0.0.0/8",        // loopback
		"169.254.0.0/16",     // link-local; metadata of most clouds
		"100.100.100.200/32", // metadata of Alibaba Cloud
		"168.63.129.16/32",   // the host of an Azure machine
		"192.0.0.192/32",     // metadata of Oracle Cloud
		"224.0.0.0/4",        // multicast
		"240.0.0.0/4",        // reserved, broadcast
		"::/96",              // unspecified, loopback, IPv4-compatible
		"fe80::/10",          // link-local
		"ff00::/8",           // multicast
		"fd00:ec2::/32",      // metadata of AWS
		"fd20:ce::/32",       // metadata of Google Cloud
	} {
		prefixes = append(prefixes, netip.MustParsePrefix(prefix))
	}
	return prefixes
}

// deniedError is the refusal to connect to an address. It does not say which:
// that a name of the host's network stands for it is not for tenants.
type deniedError struct{}

func (deniedError) Error() string {
	return "its host is at an address that is not probed (loopback, link-local, metadata or the like; see --probe-denied-cidrs)"
}

// allow is the Control of a dialer: it is called for each connection with the
// address that the kernel is about to connect to, after names were resolved. A
// check of the name would not see what the name stands for a moment later.
func (c Config) allow(_ context.Context, network, address string, _ syscall.RawConn) error {
	ip, err := netip.ParseAddrPort(address)
	if err != nil {
		return fmt.Errorf("address of a %s connection: %w", network, err)
	}
	if c.denies(ip.Addr()) {
		return deniedError{}
	}
	return nil
}

func (c Config) denies(ip netip.Addr) bool {
	// A prefix contains neither addresses with a zone nor, if it is one of
	// IPv4, those that are mapped into IPv6.
	ip = ip.WithZone("").Unmap()
	contains := func(prefix netip.Prefix) bool { return prefix.Contains(ip) }
	if slices.ContainsFunc(c.Deny, contains) {
		return true
	}
	if embedded, ok := embeddedIPv4(ip); ok {
		ip = embedded
		return slices.ContainsFunc(c.Deny, contains)
	}
	return false
}

var (
	nat64  = netip.MustParsePrefix("64:ff9b::/96") // RFC 6052
	sixTo4 = netip.MustParsePrefix("2002::/16")    // RFC 3056
)

// embeddedIPv4 returns the address where a gateway takes packets for this one.
func embeddedIPv4(ip netip.Addr) (netip.Addr, bool) {
	bytes := ip.As16()
	switch {
	case nat64.Contains(ip):
		return netip.AddrFrom4([4]byte(bytes[12:])), true
	case sixTo4.Contains(ip):
		return netip.AddrFrom4([4]byte(bytes[2:6])), true
	default:
		return netip.Addr{}, false
	}
}
