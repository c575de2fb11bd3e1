//! Addresses in every notation, public and not.

use proptest::prelude::*;

use super::*;

fn kind(address: &str) -> Option<&'static str> {
    let address = address.parse().expect(address);
    check(address, &PermittedNetworks::default())
        .err()
        .map(|Prohibited(_, kind)| kind)
}

#[test]
fn addresses_of_the_internet_are_open() {
    for address in [
        "1.1.1.1",
        "9.255.255.255",
        "11.0.0.0",
        "100.63.255.255",
        "100.128.0.0",
        "126.255.255.255",
        "128.0.0.0",
        "169.253.255.255",
        "172.15.255.255",
        "172.32.0.0",
        "192.167.255.255",
        "198.17.255.255",
        "223.255.255.255",
        "2600::beef",
        "2606:4700:4700::1111",
        "::ffff:1.1.1.1",
        "64:ff9b::1.1.1.1",
        "2002:101:101::1",
    ] {
        assert_eq!(kind(address), None, "{address}");
    }
}

#[test]
fn all_others_are_off_limits() {
    for (address, expected) in [
        ("0.0.0.0", "unspecified"),
        ("0.1.2.3", "unspecified"),
        ("10.0.0.1", "private"),
        ("100.64.0.1", "carrier-grade NAT"),
        ("127.0.0.1", "loopback"),
        ("127.255.255.254", "loopback"),
        ("169.254.169.254", "link-local"),
        ("172.16.0.1", "private"),
        ("172.31.255.255", "private"),
        ("192.0.0.192", "protocol assignment"),
        ("192.0.2.1", "documentation"),
        ("192.168.0.1", "private"),
        ("198.18.0.1", "benchmarking"),
        ("224.0.0.1", "multicast"),
        ("240.0.0.1", "reserved"),
        ("255.255.255.255", "reserved"),
        ("::", "unspecified"),
        ("::1", "loopback"),
        ("100::1", "reserved"),
        ("2001::1", "protocol assignment"),
        ("2001:db8::1", "documentation"),
        ("3fff::1", "documentation"),
        ("4000::1", "reserved"),
        ("5f00::1", "reserved"),
        ("64:ff9b:1::1", "reserved"),
        ("fc00::f00d", "unique local"),
        ("fd00:ec2::254", "unique local"),
        ("fe80::1", "link-local"),
        ("fec0::1", "site-local"),
        ("ff02::1", "multicast"),
    ] {
        assert_eq!(kind(address), Some(expected), "{address}");
    }
}

#[test]
fn an_ipv4_address_inside_of_an_ipv6_one_counts() {
    for address in [
        "::ffff:127.0.0.1",
        "::ffff:7f00:1",
        "::127.0.0.1",
        "::ffff:0:127.0.0.1",
        "64:ff9b::127.0.0.1",
        "64:ff9b::7f00:1",
        "2002:7f00:1::",
        "2002:7f00:1:1:2:3:4:5",
        "2600::5efe:127.0.0.1",
        "2600::200:5efe:127.0.0.1",
    ] {
        assert_eq!(kind(address), Some("loopback"), "{address}");
    }
}

#[test]
fn permitted_networks_are_open() {
    let permitted = "10.0.0.0/8, ::1,fd00::/8"
        .parse::<PermittedNetworks>()
        .expect("networks");
    for (address, open) in [
        ("10.1.2.3", true),
        ("::ffff:10.1.2.3", true),
        ("::1", true),
        ("fd00::1", true),
        ("fc00::1", false),
        ("127.0.0.1", false),
        ("169.254.169.254", false),
    ] {
        let address = address.parse().expect(address);
        assert_eq!(check(address, &permitted).is_ok(), open, "{address}");
    }
    assert_eq!("".parse(), Ok(PermittedNetworks::default()));
    let all = PermittedNetworks::all();
    assert_eq!("private".parse(), Ok(all.clone()));
    assert_eq!(check(Ipv4Addr::LOCALHOST.into(), &all), Ok(()));
}

#[test]
fn what_is_not_a_network_is_refused() {
    for item in ["privat", "10.0.0.0/33", "localhost", "10/8"] {
        let parsed = format!("::1,{item}").parse::<PermittedNetworks>();
        assert_eq!(parsed, Err(InvalidNetwork(item.into())));
    }
}

proptest! {
    #[test]
    fn carrying_an_address_makes_it_no_more_open(address in any::<u32>()) {
        let address = Ipv4Addr::from(address);
        let none = PermittedNetworks::default();
        let plain = check(address.into(), &none).is_ok();
        let mapped = address.to_ipv6_mapped();
        prop_assert_eq!(check(mapped.into(), &none).is_ok(), plain);
        let [a, b, c, d] = address.octets();
        let low = [u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d])];
        for carrier in [
            Ipv6Addr::from([0x64, 0xff9b, 0, 0, 0, 0, low[0], low[1]]),
            Ipv6Addr::from([0x2002, low[0], low[1], 1, 2, 3, 4, 5]),
        ] {
            prop_assert_eq!(check(carrier.into(), &none).is_ok(), plain);
        }
    }

    #[test]
    fn only_global_unicast_ipv6_is_open(address in any::<u128>()) {
        let address = Ipv6Addr::from(address);
        if carried_ipv4(address).is_none() && check(address.into(), &PermittedNetworks::default()).is_ok() {
            prop_assert_eq!(address.segments()[0] >> 13, 1);
        }
    }
}
