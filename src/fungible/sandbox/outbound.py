"""Where a command may connect to: seccomp's user notification asks us at every connect and addressed send.

The filter is installed in the command's process before exec and inherited by all that descends from it; whoever
supervises it holds the listener and answers. Only calls that carry an address are stopped on their way (connect,
sendto with an address, sendmsg and sendmmsg, whose addresses a filter cannot see); io_uring, which would go round
them, does not exist for the command. It guards against accidents, not against a hostile app: a second thread can
change an address between our look and the kernel's (seccomp_unotify(2)), and 32-bit programs are not stopped.

Numbers and structures: Linux UAPI headers (seccomp.h, filter.h, audit.h), seccomp(2), seccomp_unotify(2).
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import fnmatch
import os
import socket
import struct
from dataclasses import dataclass, field, replace
from typing import Callable, Dict, List, NamedTuple, Optional, Sequence, Set, Tuple, Union

from . import linux

DNS = 53
_MAIL = (25, 465, 587, 1025, 2525)
MAIL_PORTS = tuple(f"*:{port}" for port in _MAIL)
"""Ports at which mail is taken for delivery (RFC 6409, RFC 8314), and where test servers listen for it."""

_SET_MODE_FILTER = 1
_NEW_LISTENER_AND_SPECULATION = 8 | 4
_RECEIVE, _SEND, _IS_VALID = 0xC0502100, 0xC0182101, 0x40082102
_CONTINUE = 1
_NOTIFICATION = struct.Struct("=QIIiIQ6Q")
_ANSWER = struct.Struct("=QqiI")

_ALLOW, _NOTIFY = 0x7FFF0000, 0x7FC00000
_NO_SUCH_CALL = 0x00050000 | errno.ENOSYS
_LOAD, _EQUAL, _AT_LEAST, _RETURN = 0x20, 0x15, 0x35, 0x06
_NUMBER_AT, _ARCHITECTURE_AT, _FIFTH_ARGUMENT_AT = 0, 4, 48
_X32 = 0x40000000
_IO_URING = (425, 426, 427)

_READ_AT_MOST = 512
_MESSAGES_AT_MOST = 64
_TOLD_AT_MOST = 200
_LOOK_UPS = ("/run/nscd/*", "/var/run/nscd/*", "/run/systemd/resolve/*")
_HARMLESS = (getattr(socket, "AF_NETLINK", 16), getattr(socket, "AF_ALG", 38))
_TRIAL = ("192.0.2.1", 9)  # TEST-NET-1 (RFC 5737)


class _Calls(NamedTuple):
    architecture: int
    seccomp: int
    connect: int
    sendto: int
    sendmsg: int
    sendmmsg: int


_CALLS = {
    "x86_64": _Calls(0xC000003E, 317, 42, 44, 46, 307),
    "aarch64": _Calls(0xC00000B7, 277, 203, 206, 211, 269),
}


@dataclass(frozen=True)
class Destination:
    """Where a call leads: an address of the internet, the path of a Unix socket, or another family.

    `host` is the address as text, an IPv4 one in IPv6 clothes as IPv4; `name` is what a DNS question asks for.
    """

    family: int
    host: str = ""
    port: int = 0
    path: str = ""
    name: str = ""

    @property
    def loopback(self) -> bool:
        """Whether it is on this machine; the unspecified address is taken as loopback, as the kernel does."""
        return self.host.startswith("127.") or self.host in ("0.0.0.0", "::1", "::")

    def __str__(self) -> str:
        if self.name:
            return self.name
        if self.family == socket.AF_UNIX:
            return self.path
        if self.host:
            return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"
        return f"address family {self.family}"


def parse_address(data: bytes) -> Optional[Destination]:
    """A struct sockaddr as the kernel takes it; None where it is too short for its family. AF_UNSPEC is family 0,
    with the address that datagram sockets take it for (ip(7))."""
    if len(data) < 2:
        return None
    family = struct.unpack_from("=H", data)[0]
    if family == socket.AF_UNIX:
        raw = data[2:110]
        path = "" if raw[:1] in (b"", b"\0") else os.fsdecode(raw.split(b"\0", 1)[0])
        return Destination(family, path=path)
    if family in (socket.AF_INET, socket.AF_UNSPEC):
        if len(data) < 8:
            return Destination(family) if family == socket.AF_UNSPEC else None
        return Destination(family, socket.inet_ntoa(data[4:8]), struct.unpack_from("!H", data, 2)[0])
    if family == socket.AF_INET6:
        if len(data) < 24:
            return None
        mapped = data[8:20] == bytes(10) + b"\xff\xff"
        host = socket.inet_ntoa(data[20:24]) if mapped else socket.inet_ntop(socket.AF_INET6, data[8:24])
        return Destination(family, host, struct.unpack_from("!H", data, 2)[0])
    return Destination(family)


def parse_question(data: bytes) -> str:
    """The name that a DNS query asks for (RFC 1035, section 4.1.2); empty where it is no query."""
    if len(data) < 17 or data[2] & 0xF8 or struct.unpack_from("!H", data, 4)[0] != 1:
        return ""
    labels: List[str] = []
    at = 12
    while at < len(data) and data[at]:
        length = data[at]
        label = data[at + 1 : at + 1 + length]
        if length > 63 or len(label) < length:
            return ""
        labels.append(label.decode("ascii", "replace"))
        at += 1 + length
    name = ".".join(labels)
    return name if at < len(data) and all("!" <= character <= "~" for character in name) else ""


@dataclass(frozen=True)
class Policy:
    """What is refused. Without exceptions: every address that is not loopback, and look-ups of names.

    Entries are `ADDRESS:PORT` with `*` for any, or the path of a Unix socket (shell patterns). `unreachable` adds
    what is refused on this machine; `reachable` goes before everything else.
    """

    reachable: Tuple[str, ...] = ()
    unreachable: Tuple[str, ...] = ()

    def allows(self, to: Destination) -> bool:
        """Whether a call may lead there."""
        if _matches(self.reachable, to):
            return True
        if to.family == socket.AF_UNIX:
            return not _matches(self.unreachable, to) and not _matches(_LOOK_UPS, to)
        if to.host:
            return to.loopback and to.port != DNS and not _matches(self.unreachable, to)
        return to.family in _HARMLESS or to.family == socket.AF_UNSPEC


def _matches(entries: Sequence[str], to: Destination) -> bool:
    if to.family == socket.AF_UNIX:
        return bool(to.path) and any("/" in entry and fnmatch.fnmatchcase(to.path, entry) for entry in entries)
    for entry in entries:
        host, _, port = entry.rpartition(":")
        if to.host and host.strip("[]") in ("*", to.host) and port in ("*", str(to.port)):
            return True
    return False


def available() -> Optional[str]:
    """None where the mechanism can be tried; else why not."""
    if not linux.available():
        return "only Linux has it"
    if os.uname().machine not in _CALLS:
        return f"not known for {os.uname().machine}"
    return None


def _program(calls: _Calls) -> bytes:
    """The filter. Jumps are by name here, and relative to the next instruction in the kernel's form."""
    steps: List[Union[str, Tuple[int, int, str, str]]] = [
        (_LOAD, _ARCHITECTURE_AT, "", ""),
        (_EQUAL, calls.architecture, "", "allow"),
        (_LOAD, _NUMBER_AT, "", ""),
        (_EQUAL, calls.connect, "notify", ""),
        (_EQUAL, calls.sendmsg, "notify", ""),
        (_EQUAL, calls.sendmmsg, "notify", ""),
        (_EQUAL, calls.sendto, "sendto", ""),
        *((_EQUAL, number, "absent", "") for number in _IO_URING),
        (_AT_LEAST, _X32, "absent", ""),
        "allow",
        (_RETURN, _ALLOW, "", ""),
        "sendto",
        (_LOAD, _FIFTH_ARGUMENT_AT, "", ""),
        (_EQUAL, 0, "", "notify"),
        (_LOAD, _FIFTH_ARGUMENT_AT + 4, "", ""),
        (_EQUAL, 0, "allowed", "notify"),
        "notify",
        (_RETURN, _NOTIFY, "", ""),
        "absent",
        (_RETURN, _NO_SUCH_CALL, "", ""),
        "allowed",  # jumps lead forward only
        (_RETURN, _ALLOW, "", ""),
    ]
    places: Dict[str, int] = {}
    program: List[Tuple[int, int, str, str]] = []
    for step in steps:
        if isinstance(step, str):
            places[step] = len(program)
        else:
            program.append(step)

    def distance(name: str, at: int) -> int:
        return places[name] - at - 1 if name else 0

    return b"".join(
        struct.pack("=HBBI", code, distance(yes, at), distance(no, at), value)
        for at, (code, value, yes, no) in enumerate(program)
    )


def enter(channel: socket.socket) -> None:
    """Submit the calling process and all that will descend from it, for ever; its listener goes over `channel`.

    Sets no_new_privs. The caller's other threads are not submitted, so there should be none. Raises OSError where
    the system refuses it (no listener inside another one's: EBUSY).
    """
    calls = _CALLS.get(os.uname().machine)
    if calls is None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS), "seccomp")
    linux.prctl(linux.PR_SET_NO_NEW_PRIVS, 1)
    program = _program(calls)
    code = ctypes.create_string_buffer(program, len(program))
    header = struct.pack("@HP", len(program) // 8, ctypes.addressof(code))
    reader, writer = os.pipe()

    # From the moment of the filter on, our own sendmsg would wait for an answer that nobody can give before the
    # listener has arrived; a thread that was there before is not filtered.
    def send() -> None:
        number = os.read(reader, 16)
        if number:
            socket.send_fds(channel, [b"l"], [int(number)])

    import threading

    sender = threading.Thread(target=send)
    sender.start()
    try:
        listener = linux.libc().syscall(
            ctypes.c_long(calls.seccomp),
            ctypes.c_uint(_SET_MODE_FILTER),
            ctypes.c_uint(_NEW_LISTENER_AND_SPECULATION),
            ctypes.c_char_p(header),
        )
        if listener < 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number), "seccomp")
        os.write(writer, str(listener).encode())
    finally:
        os.close(writer)
        sender.join()
        os.close(reader)
    os.close(int(listener))


def try_out() -> None:
    """One call that must be refused; raises OSError where it is not, or where the supervisor could not read it."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as trial:
        refused = trial.connect_ex(_TRIAL)
    if refused != errno.ECONNREFUSED:
        raise OSError(refused or errno.ENOTSUP, os.strerror(refused or errno.ENOTSUP), "connect")


Tell = Callable[[Destination, bool, str], None]


@dataclass
class Guard:
    """The supervisor's side: answers what a filter asks through `listener`, a descriptor for poll.

    `tell` hears of every destination once, whether it was allowed, and the program's name; Unix sockets are told
    only where they were refused.
    """

    listener: int
    policy: Policy
    tell: Tell
    _told: Set[Tuple[str, bool]] = field(default_factory=set)
    _asking: Dict[int, Destination] = field(default_factory=dict)

    def answer(self) -> None:
        """Answer one question; to be called when `listener` is readable. Returns at once where it is void."""
        question = bytearray(_NOTIFICATION.size)
        try:
            fcntl.ioctl(self.listener, _RECEIVE, question, True)
        except OSError:
            return  # the caller was killed meanwhile
        number, pid, _, call, _, _, *arguments = _NOTIFICATION.unpack(question)
        try:
            refused = self._judge(number, pid, call, arguments)
        except OSError as error:
            # EIO: no such memory, which the kernel will find as well; ENOENT, ESRCH: nobody waits any more.
            gone = error.errno in (errno.EIO, errno.ENOENT, errno.ESRCH)
            refused = None if gone else self._refuse(pid, None)
        reply = _ANSWER.pack(number, 0, -(refused or 0), _CONTINUE if refused is None else 0)
        try:
            fcntl.ioctl(self.listener, _SEND, reply)
        except OSError:
            return  # as above

    def close(self) -> None:
        """Let go of the listener: from then on, such calls fail with ENOSYS."""
        os.close(self.listener)

    def _judge(self, number: int, pid: int, call: int, arguments: Sequence[int]) -> Optional[int]:
        """None to let it pass, else the errno to fail with, 0 to succeed without being done."""
        calls = _CALLS[os.uname().machine]
        with open(f"/proc/{pid}/mem", "rb", buffering=0) as memory:
            if call == calls.connect:
                to = parse_address(_read(memory.fileno(), arguments[1], min(arguments[2], 128)))
                self._check(number)
                return self._connect(pid, to)
            if call == calls.sendto:
                address = _read(memory.fileno(), arguments[4], min(arguments[5], 128))
                payload = _read(memory.fileno(), arguments[1], min(arguments[2], _READ_AT_MOST))
                self._check(number)
                return self._send(pid, parse_address(address), payload)
            count = min(arguments[2], _MESSAGES_AT_MOST) if call == calls.sendmmsg else 1
            for index in range(count):
                named, payload = _message(memory.fileno(), arguments[1] + index * 64)
                self._check(number)
                to = parse_address(named) if named is not None else None
                refused = self._ask(pid, payload) if named is None else self._send(pid, to, payload)
                if refused is not None:
                    return refused
        return None

    def _check(self, number: int) -> None:
        """Raises OSError where what we read may be another process's: the asking one has ended."""
        fcntl.ioctl(self.listener, _IS_VALID, struct.pack("=Q", number))

    def _connect(self, pid: int, to: Optional[Destination]) -> Optional[int]:
        if to is None or to.family == socket.AF_UNSPEC:
            return None  # the kernel refuses the first (EINVAL); the second ends an association (connect(2))
        if to.port == DNS and to.host and not self.policy.allows(to):
            # Pretend, so that the resolver goes on and says the name; its send fails at once.
            if len(self._asking) >= _TOLD_AT_MOST:
                self._asking.clear()
            self._asking[pid] = to
            self._note(pid, to, False)
            return 0
        return self._send(pid, to, b"")

    def _send(self, pid: int, to: Optional[Destination], payload: bytes) -> Optional[int]:
        if to is None:
            return None
        if to.path and not to.path.startswith("/"):
            to = replace(to, path=os.path.join(_folder_of(pid), to.path))
        if self.policy.allows(to):
            if to.host:
                self._note(pid, to, True)
            return None
        if to.port == DNS and to.host:
            to = Destination(to.family, to.host, to.port, name=parse_question(payload))
        return self._refuse(pid, to)

    def _ask(self, pid: int, payload: bytes) -> Optional[int]:
        """A message without an address: the question to a server that we pretended to connect to?"""
        server = self._asking.get(pid)
        name = parse_question(payload) if server is not None else ""
        if server is None or not name:
            return None
        return self._refuse(pid, Destination(server.family, server.host, server.port, name=name))

    def _refuse(self, pid: int, to: Optional[Destination]) -> int:
        if to is None:
            to = Destination(-1, path="an address that could not be read")
        if to.host != _TRIAL[0] and not _matches(_LOOK_UPS, to):
            self._note(pid, to, False)
        return errno.ECONNREFUSED if to.host or to.path.startswith("/") else errno.EACCES

    def _note(self, pid: int, to: Destination, allowed: bool) -> None:
        key = (str(to), allowed)
        if key in self._told or len(self._told) >= _TOLD_AT_MOST:
            return
        self._told.add(key)
        try:
            with open(f"/proc/{pid}/comm") as file:
                program = file.read().strip()
        except OSError:
            program = ""
        self.tell(to, allowed, program)


def _folder_of(pid: int) -> str:
    try:
        return os.readlink(f"/proc/{pid}/cwd")
    except OSError:
        return "/"


def _read(memory: int, at: int, length: int) -> bytes:
    return os.pread(memory, length, at) if at and length else b""


def _message(memory: int, at: int) -> Tuple[Optional[bytes], bytes]:
    """The address of a struct msghdr, None for none, and the beginning of what is sent."""
    header = _read(memory, at, 32)
    if len(header) < 32:
        return None, b""
    name, length, vectors, count = struct.unpack("@PI4xPQ", header)
    payload = b""
    if vectors and count:
        base, size = struct.unpack("@PQ", _read(memory, vectors, 16))
        payload = _read(memory, base, min(size, _READ_AT_MOST))
    return (_read(memory, name, min(length, 128)) if name else None), payload
