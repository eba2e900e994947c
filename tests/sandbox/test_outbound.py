"""Where a sandboxed command may connect to: decided by a policy, asked for by the kernel."""

from __future__ import annotations

import json
import platform
import socket
import struct
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fungible.sandbox.outbound import (
    MAIL_PORTS,
    Destination,
    Policy,
    available,
    parse_address,
    parse_question,
)
from fungible.sandbox.probe import probe_outbound

from .conftest import Bench, Ran, as_ordinary_user

if available() is not None:  # pragma: no cover
    pytest.skip("connections cannot be asked about here", allow_module_level=True)


def inet(host: str, port: int, family: int = socket.AF_INET) -> bytes:
    return struct.pack("=H", family) + struct.pack("!H", port) + socket.inet_aton(host) + bytes(8)


def inet6(host: str, port: int) -> bytes:
    return (
        struct.pack("=H", socket.AF_INET6)
        + struct.pack("!HI", port, 0)
        + socket.inet_pton(socket.AF_INET6, host)
        + bytes(4)
    )


@pytest.mark.pure
def test_addresses_are_read() -> None:
    assert parse_address(inet("10.1.2.3", 25)) == Destination(socket.AF_INET, "10.1.2.3", 25)
    assert str(parse_address(inet6("2001:db8::1", 443))) == "[2001:db8::1]:443"
    mapped = parse_address(inet6("::ffff:127.0.0.1", 80))
    assert mapped is not None and (mapped.host, mapped.loopback) == ("127.0.0.1", True)
    unix = parse_address(struct.pack("=H", socket.AF_UNIX) + b"/run/x.sock\0rubbish")
    assert unix is not None and unix.path == "/run/x.sock"
    abstract = parse_address(struct.pack("=H", socket.AF_UNIX) + b"\0name")
    assert abstract is not None and abstract.path == ""


@pytest.mark.pure
@given(st.binary(max_size=64))
def test_any_bytes_are_an_address_or_none(data: bytes) -> None:
    found = parse_address(data)
    if found is not None:
        Policy().allows(found)
        str(found)
    parse_question(data)


@pytest.mark.pure
def test_what_a_policy_allows() -> None:
    def allows(policy: Policy, host: str, port: int) -> bool:
        return policy.allows(Destination(socket.AF_INET6 if ":" in host else socket.AF_INET, host, port))

    plain = Policy()
    assert allows(plain, "127.0.0.1", 80) and allows(plain, "127.9.9.9", 80) and allows(plain, "::1", 80)
    assert allows(plain, "0.0.0.0", 80) and allows(plain, "::", 80), "the kernel takes these for loopback"
    assert not allows(plain, "10.0.0.1", 80) and not allows(plain, "255.255.255.255", 80)
    assert not allows(plain, "127.0.0.53", 53), "look-ups would wait for servers elsewhere"
    mail = Policy(unreachable=MAIL_PORTS)
    assert not allows(mail, "127.0.0.1", 25) and not allows(mail, "::1", 587) and allows(mail, "127.0.0.1", 80)
    some = Policy(reachable=("10.0.0.1:443", "[::1]:25", "192.0.2.1:*"), unreachable=MAIL_PORTS)
    assert allows(some, "10.0.0.1", 443) and not allows(some, "10.0.0.1", 80)
    assert allows(some, "::1", 25) and not allows(some, "127.0.0.1", 25) and allows(some, "192.0.2.1", 9)
    sockets = Policy(unreachable=("*/.s.PGSQL.*",))
    assert not sockets.allows(Destination(socket.AF_UNIX, path="/run/postgresql/.s.PGSQL.5432"))
    assert sockets.allows(Destination(socket.AF_UNIX, path="/run/app.sock"))
    assert Policy(("/run/postgresql/.s.PGSQL.1",), ("*/.s.PGSQL.*",)).allows(
        Destination(socket.AF_UNIX, path="/run/postgresql/.s.PGSQL.1")
    )
    assert not plain.allows(Destination(17)), "raw packets"
    assert plain.allows(Destination(16)), "netlink"


@pytest.mark.pure
def test_questions_for_names_are_read() -> None:
    query = struct.pack("!6H", 7, 0x0100, 1, 0, 0, 0) + b"\4smtp\7example\3org\0" + struct.pack("!2H", 1, 1)
    assert parse_question(query) == "smtp.example.org"
    assert parse_question(query[:20]) == ""
    assert parse_question(b"\0" * 40) == ""


ASK = """
import errno, json, socket, sys
def tried(work):
    try:
        work()
    except socket.gaierror:
        return "no name"
    except OSError as error:
        return errno.errorcode[error.errno]
    return "done"
def connect(family, kind, address, wait=True):
    with socket.socket(family, kind) as it:
        it.setblocking(wait)
        it.connect(address)
def message(address):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as it:
        it.sendmsg([b"x"], [], 0, address)
def datagram(address):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as it:
        it.sendto(b"x", address)
listener = socket.create_server(("127.0.0.1", 0))
here = listener.getsockname()
stream, dgram = socket.SOCK_STREAM, socket.SOCK_DGRAM
print(json.dumps({
    "remote": tried(lambda: connect(socket.AF_INET, stream, ("192.0.2.7", 80))),
    "remote6": tried(lambda: connect(socket.AF_INET6, stream, ("2001:db8::7", 80))),
    "remote, not waiting": tried(lambda: connect(socket.AF_INET, stream, ("192.0.2.8", 80), False)),
    "sendto": tried(lambda: datagram(("192.0.2.9", 514))),
    "sendmsg": tried(lambda: message(("192.0.2.10", 514))),
    "loopback": tried(lambda: connect(socket.AF_INET, stream, here)),
    "loopback, not waiting": tried(lambda: connect(socket.AF_INET, stream, here, False)),
    "name": tried(lambda: socket.getaddrinfo("smtp.example.org", 25)),
    "mail": tried(lambda: connect(socket.AF_INET, stream, ("127.0.0.1", 2525))),
    "pair": tried(lambda: [end.sendmsg([b"x"]) for end in socket.socketpair()]),
}))
"""


def answers(ran: Ran) -> dict[str, Any]:
    assert ran.status == 0, (ran.out, ran.messages)
    found: dict[str, Any] = json.loads(ran.out)
    return found


@pytest.mark.parametrize("level", ["full", "copy", "scratch", "none"])
def test_only_this_machine_can_be_reached(bench: Bench, allowed: tuple[str, ...], level: str) -> None:
    if level not in allowed:
        pytest.skip(f"level {level} is not possible here")
    argv = (sys.executable, "-I", "-S", "-c", ASK)
    ran = bench.run(level, "", argv=argv, outbound="refused", unreachable=MAIL_PORTS)
    said = answers(ran)
    assert {said[each] for each in ("remote", "remote6", "remote, not waiting", "sendto", "sendmsg", "mail")} == {
        "ECONNREFUSED"
    }
    assert said["loopback"] == said["pair"] == "done"
    assert said["loopback, not waiting"] in ("EINPROGRESS", "done")
    assert said["name"] == "no name"
    told = {message.data["to"]: message.data for message in ran.messages if message.kind == "outbound"}
    refused = {to for to, data in told.items() if not data["allowed"]}
    assert refused >= {"192.0.2.7:80", "[2001:db8::7]:80", "192.0.2.8:80", "192.0.2.9:514", "192.0.2.10:514"}
    assert "127.0.0.1:2525" in refused
    assert sum(data["allowed"] and data["loopback"] for data in told.values()) == 1, "each is told once"


def test_a_name_that_is_looked_up_is_told(bench: Bench, full: None) -> None:
    with open("/etc/resolv.conf") as file:
        if "nameserver" not in file.read():
            pytest.skip("no name server is configured")
    ran = bench.run("full", "", argv=(sys.executable, "-I", "-S", "-c", ASK), outbound="refused")
    assert any(message.data["to"] == "smtp.example.org" for message in ran.messages if message.kind == "outbound")


def test_what_is_reachable_goes_before(bench: Bench, full: None) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        code = f"import socket; socket.create_connection(('127.0.0.1', {port})); print('in')"
        argv = (sys.executable, "-I", "-S", "-c", code)
        ran = bench.run("full", "", argv=argv, outbound="refused", unreachable=(f"*:{port}",), name="p1")
        assert "ConnectionRefusedError" in ran.out
        ran = bench.run("full", "", argv=argv, outbound="refused", unreachable=(f"*:{port}",), name="p2",
                        reachable=(f"127.0.0.1:{port}",))  # fmt: skip
        assert ran.out == "in\n"


def test_descendants_and_io_uring_find_no_way_round(bench: Bench, full: None) -> None:
    code = (
        "import ctypes, os, subprocess, sys; libc = ctypes.CDLL(None, use_errno=True)\n"
        "libc.syscall(425, 8, ctypes.create_string_buffer(120)); print(ctypes.get_errno(), flush=True)\n"
        "program = 'import socket; print(socket.socket().connect_ex((\"192.0.2.3\", 80)))'\n"
        "subprocess.run([sys.executable, '-I', '-S', '-c', program], start_new_session=True)"
    )
    ran = bench.run("full", "", argv=(sys.executable, "-I", "-S", "-c", code), outbound="refused")
    assert ran.out.split() == ["38", "111"], "ENOSYS, ECONNREFUSED"


def test_a_command_is_free_unless_it_is_said(bench: Bench, full: None) -> None:
    code = "import socket; print(socket.socket(socket.AF_INET, socket.SOCK_DGRAM).connect_ex(('127.0.0.1', 25)))"
    ran = bench.run("full", "", argv=(sys.executable, "-I", "-S", "-c", code))
    assert ran.out == "0\n"
    assert not [message for message in ran.messages if message.kind == "outbound"]


def test_the_probe_says_that_it_works(bench: Bench, allowed: tuple[str, ...]) -> None:
    import asyncio

    assert platform.machine() in ("x86_64", "aarch64")
    assert asyncio.run(probe_outbound(str(bench.base / "probe"), allowed[0], bench.layer)) is None


def test_an_ordinary_user_can_refuse_as_well(open_folder: Path) -> None:
    script = """
import asyncio, os
from fungible.sandbox.probe import probe_outbound, run_probe
found = run_probe(os.getcwd() + "/probe")
for level in found.allowed:
    print(level, asyncio.run(probe_outbound(os.getcwd() + "/probe", level, found.layer)))
"""
    ran = as_ordinary_user(script, open_folder)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout and all(line.endswith(" None") for line in ran.stdout.splitlines()), ran.stdout
