"""F3: which URLs, hosts and addresses may be asked, without a network."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fungible_kit import FetchRefused
from fungible_kit.scratch_space.address import address_allowed, host_allowed, networks_of, redirected, target_of

pytestmark = pytest.mark.pure

PRIVATE = [
    "127.0.0.1",
    "127.255.0.9",
    "0.0.0.0",
    "10.0.0.1",
    "172.16.0.1",
    "192.168.1.1",
    "100.64.0.1",
    "100.100.100.200",
    "169.254.169.254",
    "168.63.129.16",
    "192.0.0.192",
    "192.0.2.1",
    "198.18.0.1",
    "203.0.113.1",
    "224.0.0.1",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "fe80::1",
    "fe80::1%eth0",
    "fc00::1",
    "fd00:ec2::254",
    "fec0::1",
    "ff02::1",
    "ff0e::1",
    "2001:db8::1",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "::127.0.0.1",
    "64:ff9b::7f00:1",
    "64:ff9b::a00:1",
    "64:ff9b:1::7f00:1",
    "2002:7f00:1::1",
    "2002:c0a8:101::1",
    "2001:0:7f00:1::",
    "not an address",
    "",
]
PUBLIC = ["1.1.1.1", "93.184.216.34", "2606:4700:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"]


@pytest.mark.parametrize("address", PRIVATE)
def test_f3_what_is_not_on_the_public_internet_is_refused(address: str) -> None:
    assert not address_allowed(address)


@pytest.mark.parametrize("address", PUBLIC)
def test_f3_what_is_public_is_allowed(address: str) -> None:
    assert address_allowed(address)


def test_f3_a_network_is_allowed_by_name_only() -> None:
    networks = networks_of(["10.1.0.0/16", "127.0.0.1", "fd00::/8"])
    assert all(address_allowed(each, networks) for each in ("10.1.2.3", "127.0.0.1", "fd00::1", "::ffff:10.1.2.3"))
    assert not any(address_allowed(each, networks) for each in ("10.2.0.1", "127.0.0.2", "169.254.169.254", "::1"))
    with pytest.raises(ValueError, match=r"'10\.1\.0\.1/16' is none"):
        networks_of(["10.1.0.1/16"])


@given(st.ip_addresses(v=4))
def test_f3_an_ipv4_address_inside_an_ipv6_one_gains_nothing(address: ipaddress.IPv4Address) -> None:
    plain = address_allowed(str(address))
    for prefix in ("::ffff:0:0", "64:ff9b::"):
        carrying = ipaddress.IPv6Address(int(ipaddress.IPv6Address(prefix)) | int(address))
        assert address_allowed(str(carrying)) <= plain
    sixtofour = ipaddress.IPv6Address((0x2002 << 112) | (int(address) << 80) | 1)
    assert address_allowed(str(sixtofour)) <= plain


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("file:///etc/passwd", "only http"),
        ("ftp://example.org/a", "only http"),
        ("gopher://example.org", "only http"),
        ("//example.org/a", "only http"),
        ("http://", "names no host"),
        ("http:///path", "names no host"),
        ("http://example.org:0/", "names no host"),
        ("http://example.org:99999/", "malformed"),
        ("http://[::1", "malformed"),
        ("http://[fe80::1%25eth0]/", "malformed"),
        ("http://user:secret@example.org/", "user name or password"),
        ("http://example.org\\@internal/", "character"),
        ("http://example.org/a b", "character"),
        ("http://example.org/\r\nX: y", "character"),
        ("http://example.org/grün", "percent-encode"),
        ("http://example.org/" + "a" * 9000, "at most"),
    ],
)
def test_f3_a_url_that_is_not_fetched_is_told_why(url: str, sentence: str) -> None:
    with pytest.raises(FetchRefused, match=sentence):
        target_of(url)


@given(st.text() | st.from_regex(r"https?://[a-z.@:\[\]0-9/\\]{0,30}"))
def test_f3_any_text_is_a_target_or_refused(url: str) -> None:
    try:
        target = target_of(url)
    except FetchRefused:
        return
    assert target.host.isascii() and target.host == target.host.lower() and target.path.startswith("/")
    assert "@" not in target.host and 0 < target.port < 65536


def test_a_url_is_shown_without_what_may_be_secret() -> None:
    assert target_of("https://Example.org/a?token=s3cret").shown == "https://example.org/a"
    assert target_of("http://[::1]:8000/a").shown == "http://[::1]:8000/a"
    assert target_of("https://bücher.example/").host == "xn--bcher-kva.example"


def test_f3_hosts_are_whole_names() -> None:
    hosts = ["data.example", "*.cdn.example", "[::1]"]
    assert all(host_allowed(each, hosts) for each in ("data.example", "DATA.example.", "a.cdn.example", "::1"))
    assert not any(
        host_allowed(each, hosts)
        for each in ("xdata.example", "a.data.example", "cdn.example", ".cdn.example", "data.example.evil", "")
    )


def test_f3_a_redirect_is_a_url_like_any_other() -> None:
    source = target_of("https://data.example/a/b?q=1")
    assert redirected(source, "c").shown == "https://data.example/a/c"
    assert redirected(source, "//other.example/x").host == "other.example"
    for location in ("http://data.example/c", "file:///etc/passwd", "https://[::1", "https://u:p@x.example/"):
        with pytest.raises(FetchRefused):
            redirected(source, location)
