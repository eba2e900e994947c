"""F3: downloads from a real server: private addresses refused, and every limit held."""

from __future__ import annotations

import asyncio
import datetime
import errno
import hashlib
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from fungible_kit import FetchError, FetchRefused, FetchStopped, Scratch, ScratchFull, scratch

LOOPBACK = ("127.0.0.0/8",)
BODY = b"0123456789" * 10_000


class Files(BaseHTTPRequestHandler):
    """Answers as its paths say; notes what it was asked."""

    protocol_version = "HTTP/1.1"
    server: FileServer

    def do_GET(self) -> None:
        self.server.asked.append((self.path, dict(self.headers)))
        try:
            getattr(self, self.path.partition("?")[0].strip("/").partition("/")[0])()
        except OSError:
            self.close_connection = True  # the client has gone, as it may

    def _answer(self, status: int, body: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        for name, value in {"Content_Length": str(len(body)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def file(self) -> None:
        self._answer(200, BODY)

    def chunked(self) -> None:
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for _ in range(100):
            self.wfile.write(b"2710\r\n" + b"x" * 10_000 + b"\r\n")
        self.wfile.write(b"0\r\n\r\n")

    def short(self) -> None:
        self._answer(200, b"half", Content_Length="8")
        self.close_connection = True

    def packed(self) -> None:
        self._answer(200, b"\x1f\x8b", Content_Encoding="gzip")

    def missing(self) -> None:
        self._answer(404)

    def broken(self) -> None:
        self._answer(503)

    def to(self) -> None:
        self._answer(302, Location=self.path.partition("?")[2])

    def round(self) -> None:
        self._answer(302, Location="/round")

    def drip(self) -> None:
        """A byte now and then, for ever: every read comes back in time, the whole never does."""
        self.send_response(200)
        self.send_header("Content-Length", "1000000")
        self.end_headers()
        while not self.server.over.wait(0.05):
            self.wfile.write(b"x")
            self.wfile.flush()
            self.server.dripping.set()

    def garbage(self) -> None:
        self.wfile.write(b"SSH-2.0-OpenSSH\r\n")
        self.close_connection = True

    def log_message(self, *_: Any) -> None:
        pass


class FileServer(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Files)
        self.asked: list[tuple[str, dict[str, str]]] = []
        self.over, self.dripping = threading.Event(), threading.Event()

    def handle_error(self, *_: Any) -> None:
        pass  # a handshake that fails, a client that goes

    def url(self, path: str, host: str = "127.0.0.1") -> str:
        return f"http://{host}:{self.server_port}/{path}"


@contextmanager
def running(server: FileServer) -> Iterator[FileServer]:
    thread = threading.Thread(target=server.serve_forever, daemon=True, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server
    finally:
        server.over.set()
        server.shutdown()
        server.server_close()


@pytest.fixture
def server() -> Iterator[FileServer]:
    with running(FileServer()) as started:
        yield started


@pytest.fixture
def tmp(base: Path) -> Iterator[Scratch]:
    with scratch(limit="10MiB") as opened:
        yield opened


def names_of(tmp: Scratch) -> list[str]:
    return sorted(path.name for path in tmp.path.rglob("*"))


def test_a_file_comes_whole_and_under_its_name(tmp: Scratch, server: FileServer) -> None:
    path = tmp.fetch(server.url("file"), networks=LOOPBACK, sha256=hashlib.sha256(BODY).hexdigest().upper())
    assert path.read_bytes() == BODY
    assert tmp.fetch(server.url("chunked"), networks=LOOPBACK, name="in/big.csv") == tmp / "in/big.csv"
    assert names_of(tmp) == ["big.csv", "fetched-1", "in"]
    assert tmp.used.bytes == len(BODY) + 1_000_000
    assert server.asked[0][1]["Accept-Encoding"] == "identity"


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "127.1", "2130706433", "0x7f.1", "[::ffff:127.0.0.1]"])
def test_f3_a_private_address_is_refused_however_it_is_written(tmp: Scratch, server: FileServer, host: str) -> None:
    with pytest.raises(FetchRefused, match="not on the public internet") as caught:
        tmp.fetch(server.url("file", host))
    assert caught.value.reason == "address" and not caught.value.retry
    assert server.asked == [] and names_of(tmp) == []


def test_f3_a_name_that_resolves_anew_gives_no_second_answer(
    tmp: Scratch, server: FileServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """DNS rebinding: what was judged is what is connected to; and the peer of the connection is judged again."""
    real, answers = socket.getaddrinfo, iter(["203.0.113.9", "127.0.0.1"])
    asked = []

    def resolve(host: str, port: int, *args: Any, **kwargs: Any) -> Any:
        asked.append(host)
        return real(next(answers), port, *args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    connected = []
    connect = socket.socket.connect

    def connect_noted(self: socket.socket, place: Any) -> None:
        connected.append(place[0])
        connect(self, ("127.0.0.1", server.server_port))  # as a router that rewrites addresses would

    monkeypatch.setattr(socket.socket, "connect", connect_noted)
    with pytest.raises(FetchRefused, match="not on the public internet"):
        tmp.fetch(server.url("file", "rebound.example"), networks=("203.0.113.0/24",))
    assert asked == ["rebound.example"]  # once
    assert connected == ["203.0.113.9"]  # by address
    assert server.asked == []  # and nothing was sent to who answered instead


def test_f3_only_hosts_that_are_allowed(tmp: Scratch, server: FileServer) -> None:
    with pytest.raises(FetchRefused, match="not one of the hosts"):
        tmp.fetch(server.url("file"), networks=LOOPBACK, hosts=["data.example"])
    assert server.asked == []
    assert tmp.fetch(server.url("file"), networks=LOOPBACK, hosts=["127.0.0.1"]).exists()
    with pytest.raises(ValueError, match="are lists"):
        tmp.fetch(server.url("file"), hosts="data.example")


def test_f3_redirects_are_followed_when_asked_and_judged_anew(tmp: Scratch, server: FileServer) -> None:
    def get(path: str, **more: Any) -> Path:
        return tmp.fetch(server.url(path), networks=["127.0.0.1"], **more)

    with pytest.raises(FetchRefused, match="allow it with redirects=1"):
        get("to?/file")
    assert get("to?/file", redirects=1).read_bytes() == BODY
    with pytest.raises(FetchRefused, match="one too many"):
        get("round", redirects=3)
    for elsewhere, why in [
        (server.url("file", "127.0.0.2"), "not on the public internet"),
        ("http://169.254.169.254/latest/meta-data/", "not on the public internet"),
        ("file:///etc/passwd", "only http"),
        ("gopher://127.0.0.1/", "only http"),
    ]:
        with pytest.raises(FetchRefused, match=why):
            get(f"to?{elsewhere}", redirects=5)
    with pytest.raises(FetchRefused, match="not one of the hosts"):
        get(f"to?{server.url('file', 'localhost')}", redirects=1, hosts=["127.0.0.1"])


def test_headers_stay_with_the_host_that_they_were_meant_for(tmp: Scratch, server: FileServer) -> None:
    secret = {"Authorization": "Bearer s3cret"}
    tmp.fetch(server.url("to?/file"), networks=LOOPBACK, redirects=1, headers=secret)
    assert [headers.get("Authorization") for _, headers in server.asked] == ["Bearer s3cret"] * 2
    server.asked.clear()
    tmp.fetch(server.url(f"to?{server.url('file', 'localhost')}"), networks=LOOPBACK, redirects=1, headers=secret)
    assert [headers.get("Authorization") for _, headers in server.asked] == ["Bearer s3cret", None]
    with pytest.raises(ValueError, match="no header may have"):
        tmp.fetch(server.url("file"), networks=LOOPBACK, headers={"X": "a\r\nY: b"})


@pytest.mark.parametrize("path", ["file", "chunked"])  # announced, and not
def test_f3_a_file_that_is_too_large_ends_early_and_leaves_nothing(
    tmp: Scratch, server: FileServer, path: str
) -> None:
    with pytest.raises(FetchRefused, match=r"more than the 48\.8 KiB"):
        tmp.fetch(server.url(path), networks=LOOPBACK, max_bytes=50_000)
    assert names_of(tmp) == []


@pytest.mark.parametrize("path", ["file", "chunked"])
def test_f2_a_download_never_goes_over_the_limit(base: Path, server: FileServer, path: str) -> None:
    with scratch(limit=50_000) as tmp:
        with pytest.raises((ScratchFull, FetchRefused)):
            tmp.fetch(server.url(path), networks=LOOPBACK)
        with pytest.raises(ScratchFull):
            tmp.fetch(server.url(path), networks=LOOPBACK, max_bytes="1GiB")
        assert names_of(tmp) == [] and tmp.used.bytes == 0


def test_f3_a_server_that_drips_is_left_in_time(tmp: Scratch, server: FileServer) -> None:
    with pytest.raises(FetchError, match=r"did not come within 0\.5 seconds") as caught:
        tmp.fetch(server.url("drip"), networks=LOOPBACK, timeout=0.5)
    assert caught.value.retry
    assert names_of(tmp) == []


def test_f3_a_server_that_says_nothing_is_left_in_time(tmp: Scratch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/"
        with pytest.raises(FetchError, match="did not come within"):
            tmp.fetch(url, networks=LOOPBACK, timeout=0.3)
        with pytest.raises(FetchError, match="did not come within"):  # in the handshake
            tmp.fetch(url.replace("http", "https"), networks=LOOPBACK, timeout=0.3)


def test_f3_a_resolver_that_hangs_is_left_in_time(tmp: Scratch, monkeypatch: pytest.MonkeyPatch) -> None:
    over = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: over.wait(60))
    with pytest.raises(FetchError, match="did not come within"):
        tmp.fetch("http://slow.example/", timeout=0.3)
    over.set()


@pytest.mark.parametrize(
    ("path", "sentence", "retry"),
    [
        ("missing", "answered 404", False),
        ("broken", "answered 503", True),
        ("short", "the answer broke off", True),
        ("garbage", "the answer is no HTTP", True),
    ],
)
def test_a_failure_is_a_sentence_and_leaves_nothing(
    tmp: Scratch, server: FileServer, path: str, sentence: str, retry: bool
) -> None:
    with pytest.raises(FetchError, match=sentence) as caught:
        tmp.fetch(server.url(f"{path}?token=s3cret"), networks=LOOPBACK)
    assert caught.value.retry == retry and "s3cret" not in str(caught.value)
    assert caught.value.reason == ("status" if "answered" in sentence else "network")
    assert names_of(tmp) == []


def test_another_file_than_was_asked_for_is_refused(tmp: Scratch, server: FileServer) -> None:
    with pytest.raises(FetchRefused, match="another SHA-256"):
        tmp.fetch(server.url("file"), networks=LOOPBACK, sha256="0" * 64)
    with pytest.raises(FetchRefused, match="as it is"):
        tmp.fetch(server.url("packed"), networks=LOOPBACK)
    with pytest.raises(ValueError, match="64 hexadecimal"):
        tmp.fetch(server.url("file"), networks=LOOPBACK, sha256="abc")
    assert names_of(tmp) == []


def test_nobody_there(tmp: Scratch, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    with pytest.raises(FetchError, match="the connection was refused"):
        tmp.fetch(f"http://127.0.0.1:{port}/", networks=LOOPBACK)
    with pytest.raises(FetchError, match="its name is not known"):
        tmp.fetch("http://" + "a" * 64 + ".invalid/")

    def unreachable(*_: Any) -> None:
        raise OSError(errno.ENETUNREACH, "Network is unreachable")

    monkeypatch.setattr(socket.socket, "connect", unreachable)
    with pytest.raises(FetchError, match="cannot be had: network is unreachable"):
        tmp.fetch(f"http://127.0.0.1:{port}/", networks=LOOPBACK)


def test_a_download_is_stopped(tmp: Scratch, server: FileServer) -> None:
    with pytest.raises(FetchStopped):
        tmp.fetch(server.url("drip"), networks=LOOPBACK, stop=server.dripping.is_set)
    assert names_of(tmp) == []


def test_f4_a_cancelled_download_ends_before_the_folder_is_wiped(base: Path, server: FileServer) -> None:
    async def main() -> None:
        async def work() -> None:
            async with scratch() as tmp:
                await tmp.fetch(server.url("drip"), networks=LOOPBACK, timeout=600)

        task = asyncio.create_task(work())
        await asyncio.to_thread(server.dripping.wait)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert list(base.iterdir()) == []
        for thread in threading.enumerate():
            if thread.name == "fungible-scratch":
                thread.join(60)
                assert not thread.is_alive()

    begin = time.monotonic()
    asyncio.run(main())
    assert time.monotonic() - begin < 300  # and not after the time that the download had


def test_an_async_download(base: Path, server: FileServer) -> None:
    async def main() -> None:
        async with scratch() as tmp:
            first, second = await asyncio.gather(
                tmp.fetch(server.url("file"), networks=LOOPBACK), tmp.fetch(server.url("chunked"), networks=LOOPBACK)
            )
            assert first.read_bytes() == BODY and second.stat().st_size == 1_000_000
            with pytest.raises(FetchRefused):
                await tmp.fetch(server.url("file"))
        assert list(base.iterdir()) == []

    asyncio.run(main())


def test_tls_is_verified(tmp: Scratch, tmp_path: Path) -> None:
    certificate = _certificate(tmp_path)
    with running(FileServer()) as server:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        url = f"https://localhost:{server.server_port}/file"
        with pytest.raises(FetchError, match="its certificate is not trusted"):
            tmp.fetch(url, networks=LOOPBACK)
        trusting = ssl.create_default_context(cafile=str(certificate))
        assert tmp.fetch(url, networks=LOOPBACK, tls=trusting).read_bytes() == BODY
        with pytest.raises(FetchError, match="did not come within"):
            tmp.fetch(url.replace("file", "drip"), networks=LOOPBACK, tls=trusting, timeout=1)
        with pytest.raises(FetchError, match="its certificate is not trusted"):  # of another name
            tmp.fetch(url.replace("localhost", "127.0.0.1"), networks=LOOPBACK, tls=trusting)


def _certificate(folder: Path) -> Path:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = folder / "server.pem"
    path.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        + certificate.public_bytes(serialization.Encoding.PEM)
    )
    return path
