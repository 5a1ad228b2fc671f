//! What `WSGITrustedProxies` and `WSGITrustedProxyHeaders` may say: networks, and the headers that the module knows.
//!
//! Parsed once with the configuration; asked by `front` on request threads. What a header does is a rule of `wsgi`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The headers that change environ where they are trusted, as administrators write them.
pub const PROXY_HEADERS: [&str; 15] = [
    "X-Forwarded-For",
    "X-Client-IP",
    "X-Real-IP",
    "X-Forwarded-Host",
    "X-Host",
    "X-Forwarded-Server",
    "X-Forwarded-Port",
    "X-Script-Name",
    "X-Forwarded-Script-Name",
    "X-Forwarded-Proto",
    "X-Forwarded-Scheme",
    "X-Scheme",
    "X-Forwarded-HTTPS",
    "X-Forwarded-SSL",
    "X-HTTPS",
];

/// All addresses of a family that agree with `bits` where `mask` has ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Network {
    V4 { bits: u32, mask: u32 },
    V6 { bits: u128, mask: u128 },
}

impl Network {
    /// Reads `address`, `address/length` or `address/netmask`; an IPv4 network may leave out its last numbers, as in httpd's
    /// `Require ip`.
    ///
    /// An IPv6 network of IPv4 addresses (`::ffff:10.0.0.0/104`) is the IPv4 network: such peers are shown as IPv4.
    pub fn parse(text: &str) -> Option<Network> {
        let (address, mask) = match text.split_once('/') {
            Some((address, mask)) => (address, Some(mask)),
            None => (text, None),
        };
        if address.contains(':') {
            let mask = match mask {
                None => u128::MAX,
                Some(mask) if mask.contains(':') => mask.parse::<Ipv6Addr>().ok()?.to_bits(),
                Some(mask) => ones_128(length(mask)?)?,
            };
            return Some(Network::v6(address.parse::<Ipv6Addr>().ok()?.to_bits() & mask, mask));
        }
        let (address, given) = leading(address)?;
        let mask = match mask {
            None => ones_32(given)?,
            Some(mask) if mask.contains('.') => mask.parse::<Ipv4Addr>().ok()?.to_bits(),
            Some(mask) => ones_32(length(mask)?)?,
        };
        Some(Network::V4 { bits: address & mask, mask })
    }

    fn v6(bits: u128, mask: u128) -> Network {
        let four = |bits: u128| Ipv6Addr::from_bits(bits).to_ipv4_mapped().map(Ipv4Addr::to_bits);
        let (above, below) = (u128::MAX << 32, u128::from(u32::MAX));
        match four(bits) {
            // What remains of the mask then concerns the IPv4 address alone.
            Some(bits) if mask & above == above => {
                Network::V4 { bits, mask: u32::try_from(mask & below).unwrap_or(u32::MAX) }
            }
            _ => Network::V6 { bits, mask },
        }
    }

    /// Whether the address, which is not an IPv4 one written as IPv6, lies in it.
    pub fn contains(self, address: IpAddr) -> bool {
        match (self, address) {
            (Network::V4 { bits, mask }, IpAddr::V4(address)) => address.to_bits() & mask == bits,
            (Network::V6 { bits, mask }, IpAddr::V6(address)) => address.to_bits() & mask == bits,
            (Network::V4 { .. }, IpAddr::V6(_)) | (Network::V6 { .. }, IpAddr::V4(_)) => false,
        }
    }
}

/// `10.1` or `10.1.`: an IPv4 address whose last numbers are left out, and how many bits were given.
fn leading(text: &str) -> Option<(u32, u32)> {
    let text = text.strip_suffix('.').filter(|rest| rest.split('.').count() < 4).unwrap_or(text);
    let given = text.split('.').count();
    if given > 4 {
        return None;
    }
    let whole = format!("{text}{}", ".0".repeat(4 - given));
    Some((whole.parse::<Ipv4Addr>().ok()?.to_bits(), 8 * u32::try_from(given).ok()?))
}

/// The length of a prefix: digits only, which `parse` alone does not ask for.
fn length(text: &str) -> Option<u32> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

fn ones_32(length: u32) -> Option<u32> {
    (length <= 32).then(|| u32::MAX.checked_shl(32 - length).unwrap_or(0))
}

fn ones_128(length: u32) -> Option<u128> {
    (length <= 128).then(|| u128::MAX.checked_shl(128 - length).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_hold_the_addresses_that_agree_with_them() {
        for (network, inside, outside) in [
            ("10.0.0.1", &["10.0.0.1"][..], &["10.0.0.2", "::1"][..]),
            ("10.0.0.0/8", &["10.0.0.0", "10.255.255.255"], &["11.0.0.0", "9.255.255.255"]),
            // Bits of the host do no harm.
            ("10.1.2.3/8", &["10.9.9.9"], &["11.1.2.3"]),
            ("10.1.0.0/255.255.0.0", &["10.1.255.1"], &["10.2.0.1"]),
            ("10.0.0.1/255.0.0.255", &["10.7.7.1"], &["10.7.7.2"]),
            ("10.1", &["10.1.0.0", "10.1.9.9"], &["10.2.0.0"]),
            ("10.1.", &["10.1.9.9"], &["10.10.0.0"]),
            ("0.0.0.0/0", &["1.2.3.4", "255.255.255.255"], &["::1"]),
            ("192.0.2.1/32", &["192.0.2.1"], &["192.0.2.0"]),
            ("::1", &["::1"], &["::2", "0.0.0.1"]),
            ("2001:db8::/32", &["2001:db8::1", "2001:db8:ffff::"], &["2001:db9::"]),
            ("2001:DB8::/32", &["2001:db8::1"], &[]),
            ("2001:db8::/ffff:ffff::", &["2001:db8::1"], &["2001:db9::"]),
            ("fe80::/10", &["fe80::1", "febf::1"], &["fec0::1"]),
            ("::/0", &["::1"], &["127.0.0.1"]),
            ("::ffff:10.0.0.0/104", &["10.1.2.3"], &["11.0.0.0", "::10.0.0.1"]),
            ("::ffff:10.0.0.1", &["10.0.0.1"], &["10.0.0.2"]),
        ] {
            let parsed = Network::parse(network).unwrap_or_else(|| panic!("{network}"));
            for (addresses, expected) in [(inside, true), (outside, false)] {
                for address in addresses {
                    assert_eq!(parsed.contains(address.parse().unwrap()), expected, "{address} in {network}");
                }
            }
        }
    }

    #[test]
    fn what_is_no_network_is_none() {
        for text in [
            "",
            "/",
            "/8",
            "localhost",
            "10.0.0.0.0",
            "10..1",
            "256.1.1.1",
            "010.0.0.1",
            "10.0.0.1/33",
            "10.0.0.1/+8",
            "10.0.0.1/-1",
            "10.0.0.1/",
            "10.0.0.1/8/8",
            "10.0.0.1:80",
            "10.0.0.0/255.0.0",
            "[::1]",
            "::1/129",
            "::1/",
            "fe80::1%eth0",
            "::1%0/64",
            ":::",
            "1.2.3.4.",
            "10.0.0.0/8x",
            "10.0.0.1 ",
            "*",
        ] {
            assert_eq!(Network::parse(text), None, "{text}");
        }
    }
}
