"""A WSGI server for one app (PEP 3333): one request at a time, idle connections kept."""

from __future__ import annotations

import contextlib
import io
import os
import selectors
import signal
import socket
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator
from types import TracebackType
from typing import Any, Optional
from urllib.parse import unquote_to_bytes

from . import ending, http1

_READ = 65536
_PATIENCE = 60.0  # seconds that a client may stall within a request
_DRAIN_AT_MOST = 1 << 20  # bytes of an unread body that are worth keeping the connection

ExcInfo = Optional[tuple[type[BaseException], BaseException, Optional[TracebackType]]]  # noqa: UP045
Application = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


class _Stop(Exception):
    """TERM came while nothing was being served."""


class Server:
    """Serves `application` on a listening socket until TERM."""

    def __init__(self, application: Application, listener: socket.socket) -> None:
        self._application = application
        self._listener = listener
        self._selector = selectors.DefaultSelector()
        self._waiting = False
        self._stopped = False
        self._base = _base_environ()

    def serve(self) -> None:
        """Serve until TERM; a request that is being answered is finished first. A handler that the app has set is
        called at once, as it would be: servers set theirs before they import the app."""
        self._heard = ending.own_handler()
        signal.signal(signal.SIGTERM, self._stop)
        self._listener.setblocking(False)
        self._selector.register(self._listener, selectors.EVENT_READ)
        try:
            while True:
                self._waiting = True
                if self._stopped:
                    return
                ready = self._selector.select()
                self._waiting = False
                for key, _ in ready:
                    if key.data is None:
                        self._accept()
                    elif not self._stopped:
                        self._serve_one(key.data)
        except _Stop:
            return
        finally:
            self._waiting = False

    def _stop(self, number: int, frame: Any) -> None:
        self._stopped = True
        if self._heard is not None:
            self._heard(number, frame)
        if self._waiting:  # a handler that returned would have select() go on (PEP 475)
            self._waiting = False
            raise _Stop

    def _accept(self) -> None:
        try:
            accepted, _ = self._listener.accept()
        except OSError:
            return
        accepted.settimeout(_PATIENCE)
        if accepted.family in (socket.AF_INET, socket.AF_INET6):
            accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._selector.register(accepted, selectors.EVENT_READ, _Connection(accepted))

    def _serve_one(self, connection: _Connection) -> None:
        """One request of a connection, or more where they were sent ahead."""
        keep = True
        while keep:
            try:
                keep = self._answer(connection)
            except http1.BadRequest as error:
                connection.refuse(error.status)
                keep = False
            except OSError:
                keep = False
            if keep and not connection.unread:
                return
        self._selector.unregister(connection.socket)
        connection.close()

    def _answer(self, connection: _Connection) -> bool:
        head = connection.read_head()
        if head is None:
            return False
        body = _Body(connection, head)
        response = _Response(connection, head)
        try:
            self._run(self._environ(head, body), response)
        except OSError as error:
            if connection.broken:
                return False
            response.fail(error)
        except Exception as error:
            response.fail(error)
        connection.unread = body.drain()
        return response.complete and body.finished and head.keep_alive and not response.closes

    def _run(self, environ: dict[str, Any], response: _Response) -> None:
        result = self._application(environ, response.start)
        try:
            for data in result:
                response.write(data)
            response.finish()
        finally:
            close = getattr(result, "close", None)
            if close is not None:
                close()

    def _environ(self, head: http1.Head, body: _Body) -> dict[str, Any]:
        environ = dict(self._base)
        path = head.path
        environ.update(
            {
                "REQUEST_METHOD": head.method.decode("latin-1"),
                "PATH_INFO": unquote_to_bytes(path).decode("latin-1"),
                "QUERY_STRING": head.query.decode("latin-1"),
                "RAW_URI": head.target.decode("latin-1"),
                "SERVER_PROTOCOL": f"HTTP/1.{head.minor}",
                "wsgi.url_scheme": head.scheme,
                "wsgi.input": io.BufferedReader(body, _READ),
            }
        )
        for name, value in head.headers:
            key = name.decode("latin-1").upper()
            if "_" in key:  # would be taken for the header with a dash
                continue
            key = key.replace("-", "_")
            if key not in ("CONTENT_TYPE", "CONTENT_LENGTH"):
                key = "HTTP_" + key
            text = value.decode("latin-1")
            environ[key] = environ[key] + ("; " if key == "HTTP_COOKIE" else ",") + text if key in environ else text
        return environ


def _base_environ() -> dict[str, Any]:
    return {
        "SCRIPT_NAME": "",
        "SERVER_NAME": "127.0.0.1",
        "SERVER_PORT": os.environ.get("PORT", "80"),
        "SERVER_SOFTWARE": "fungible",
        "REMOTE_ADDR": "127.0.0.1",
        "REMOTE_PORT": "0",
        "wsgi.version": (1, 0),
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": False,
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
        "wsgi.file_wrapper": FileWrapper,
        "wsgi.input_terminated": True,
    }


class FileWrapper:
    """`wsgi.file_wrapper`: a file in blocks."""

    def __init__(self, file: Any, size: int = 8192) -> None:
        self.file = file
        self.size = size
        if hasattr(file, "close"):
            self.close = file.close

    def __iter__(self) -> Iterator[bytes]:
        while True:
            data = self.file.read(self.size)
            if not data:
                return
            yield data


class _Connection:
    def __init__(self, connected: socket.socket) -> None:
        self.socket = connected
        self.unread = b""
        self.broken = False

    def read_head(self) -> http1.Head | None:
        """The next request's head; None where the client has nothing more to say."""
        while True:
            end = http1.end_of_head(self.unread)
            if end >= 0:
                data, self.unread = self.unread[:end], self.unread[end:]
                return http1.parse_head(data)
            data = self.receive()
            if not data:
                return None
            self.unread = (self.unread + data).lstrip(b"\r\n") if not self.unread else self.unread + data

    def receive(self) -> bytes:
        try:
            return self.socket.recv(_READ)
        except OSError:
            self.broken = True
            raise

    def send(self, data: bytes) -> None:
        try:
            self.socket.sendall(data)
        except OSError:
            self.broken = True
            raise

    def refuse(self, status: int) -> None:
        try:
            self.socket.sendall(http1.plain_answer(f"{status} {http1.REASONS[status]}"))
        except OSError:
            return

    def close(self) -> None:
        with contextlib.suppress(OSError):  # a client that still sends would lose the answer to a reset
            self.socket.shutdown(socket.SHUT_WR)
        self.socket.close()


class _Body(io.RawIOBase):
    """A request's body as a raw stream; asks for it (100 Continue) when it is first read."""

    def __init__(self, connection: _Connection, head: http1.Head) -> None:
        self._connection = connection
        self._decoder = http1.BodyDecoder(head)
        self._asks = head.expects_continue
        self._decoded = b""
        early, connection.unread = connection.unread, b""
        if early:
            self._asks = False
        self._decoded = self._decoder.feed(early)

    @property
    def finished(self) -> bool:
        return self._decoder.finished

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._decoded:
            if self._decoder.finished:
                return 0
            if self._asks:
                self._asks = False
                self._connection.send(b"HTTP/1.1 100 Continue\r\n\r\n")
            data = self._connection.receive()
            if not data:
                self._connection.broken = True
                raise ConnectionResetError("the client ended within its request")
            self._decoded = self._decoder.feed(data)
        size = min(len(buffer), len(self._decoded))
        buffer[:size] = self._decoded[:size]
        self._decoded = self._decoded[size:]
        return size

    def drain(self) -> bytes:
        """Read what the app did not; returns what belongs to the next request."""
        read = 0
        while not self._decoder.finished and not self._asks and read < _DRAIN_AT_MOST and not self._connection.broken:
            try:
                data = self._connection.receive()
            except OSError:
                break
            if not data:
                break
            read += len(data)
            self._decoder.feed(data)
        return self._decoder.unused


class _Response:
    def __init__(self, connection: _Connection, head: http1.Head) -> None:
        self._connection = connection
        self._request = head
        self._status = ""
        self._headers: list[http1.Header] = []
        self._framing: http1.Framing | None = None
        self._left: int | None = None
        self.complete = False

    @property
    def closes(self) -> bool:
        return self._framing is None or self._framing.closes

    def start(self, status: str, headers: list[tuple[str, str]], exc_info: ExcInfo = None) -> Callable[[bytes], None]:
        """`start_response` of PEP 3333."""
        if exc_info:
            try:
                if self._framing is not None and exc_info[1] is not None:
                    raise exc_info[1].with_traceback(exc_info[2])
            finally:
                exc_info = None
        elif self._status:
            raise AssertionError("start_response was called twice")
        self._status = status
        self._headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers]
        return self.write

    def write(self, data: bytes) -> None:
        if not data:
            return
        head = b"" if self._framing is not None else self._frame()
        assert self._framing is not None
        if not self._framing.has_body:
            self._connection.send(head) if head else None
            return
        if self._left is not None:
            data = data[: self._left]
            self._left -= len(data)
        self._connection.send(head + (http1.chunk(data) if self._framing.chunked and data else data))

    def finish(self) -> None:
        head = b"" if self._framing is not None else self._frame()
        assert self._framing is not None
        end = http1.chunk(b"") if self._framing.chunked else b""
        if head or end:
            self._connection.send(head + end)
        self.complete = not (self._framing.has_body and self._left)

    def fail(self, error: Exception) -> None:
        """The app raised: say so in its output, answer 500 where nothing was sent yet."""
        traceback.print_exception(type(error), error, error.__traceback__)
        if self._framing is None:
            self._status = "500 Internal Server Error"
            self._headers = [(b"Content-Type", b"text/html"), (b"Connection", b"close")]
            self._framing = None
            self.write(b"<html><body><h1>Internal Server Error</h1></body></html>")
            self.finish()
        self.complete = False

    def _frame(self) -> bytes:
        if not self._status:
            raise AssertionError("the app answered without calling start_response")
        self._framing = http1.frame(self._request, self._status, self._headers, self._request.keep_alive)
        lengths = [value for name, value in self._headers if name.lower() == b"content-length"]
        self._left = int(lengths[0]) if lengths and self._framing.has_body else None
        return self._framing.head


def serve(application: Application, listener: socket.socket, ready: Callable[[], None]) -> None:
    """Serve until TERM; `ready` is called when a request can be answered."""
    server = Server(application, listener)
    ready()
    server.serve()
