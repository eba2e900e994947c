"""Every request is a transaction: middleware for WSGI and ASGI, and hooks for the job queues."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator, MutableMapping
from typing import TYPE_CHECKING, Any

from fungible_kit.transactions.scope import Leak, Transaction, entered, finished_apart, report
from fungible_kit.transactions.temporary import Temporary, WatchedTransaction

if TYPE_CHECKING:
    from fungible_kit.transactions.celery_tasks import CeleryApp

Environ = dict[str, Any]
StartResponse = Callable[..., Any]
WsgiApp = Callable[[Environ, StartResponse], Iterable[bytes]]

Message = MutableMapping[str, Any]
AsgiApp = Callable[[Message, Callable[[], Awaitable[Any]], Callable[[Any], Awaitable[None]]], Awaitable[None]]

_KEY = "fungible.transaction"


class Transactions:
    """What makes requests and jobs transactions.

    `on_leak` is called with each `Leak`, which is logged as a warning in any case. `temporary` says what happens to
    files that a request leaves in the temporary folder (`tempfile.mkstemp` and the like): "report" (the default),
    "wipe" or "ignore". What is left in a `scratch`, or directly in $FUNGIBLE_SCRATCH, is wiped always.
    """

    def __init__(self, *, on_leak: Callable[[Leak], object] | None = None, temporary: Temporary = "report") -> None:
        if temporary not in ("report", "wipe", "ignore"):
            raise ValueError(f'temporary={temporary!r}: give "report", "wipe" or "ignore"')
        self._on_leak = on_leak
        self._temporary: Temporary = temporary

    def begin(self) -> Transaction:
        """A new transaction; who begins it enters it and ends it with `end`."""
        return Transaction() if self._temporary == "ignore" else WatchedTransaction(self._temporary)

    def end(self, ending: Transaction) -> None:
        report(ending.finish(), self._on_leak)

    def wsgi(self, app: WsgiApp) -> WsgiApp:
        """`app`, with a transaction around each request: from the call to the close of the response's body."""

        def transacted(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
            if _KEY in environ:  # mounted below an app that is wrapped already
                return app(environ, start_response)
            environ[_KEY] = begun = self.begin()
            before = entered(begun)
            try:
                body = app(environ, start_response)
            except BaseException:
                self.end(begun)
                raise
            finally:
                entered(before)
            return self._until_closed(body, begun, environ.get("wsgi.file_wrapper"))

        return transacted

    def _until_closed(self, body: Iterable[bytes], begun: Transaction, file_wrapper: Any) -> Iterable[bytes]:
        if isinstance(file_wrapper, type) and isinstance(body, file_wrapper):
            # The server knows this very object and sends its file by itself: only the close is ours.
            close = getattr(body, "close", None)

            def close_both() -> None:
                try:
                    if close is not None:
                        close()
                finally:
                    self.end(begun)

            try:
                body.close = close_both  # type: ignore[attr-defined]
            except AttributeError:
                pass
            else:
                return body
        kind = _SizedBody if isinstance(body, list | tuple) else _Body
        return kind(body, begun, self.end)

    def asgi(self, app: AsgiApp) -> AsgiApp:
        """`app`, with a transaction around each HTTP request, from the call to the last byte sent.

        What runs after the last byte (a background task) is outside. A websocket lives long and is no transaction:
        open one for each message, `async with transaction():`.
        """

        async def transacted(scope: Message, receive: Any, send: Any) -> None:
            if scope["type"] != "http" or _KEY in scope:
                await app(scope, receive, send)
                return
            scope[_KEY] = begun = self.begin()

            async def send_and_end(message: Any) -> None:
                await send(message)
                if message["type"] == "http.response.body" and not message.get("more_body", False):
                    report(await finished_apart(begun), self._on_leak)

            before = entered(begun)
            try:
                await app(scope, receive, send_and_end)
            finally:
                entered(before)
                report(await finished_apart(begun), self._on_leak)

        return transacted

    def celery(self, app: CeleryApp | None = None) -> None:
        """Every task is a transaction, of `app` or of all Celery apps of this process. Call it once."""
        from fungible_kit.transactions.celery_tasks import connect

        connect(self, app)

    def rq(self) -> type[Any]:
        """A class for `rq.Worker(..., job_class=...)` whose jobs are transactions.

        `rq worker --job-class fungible_kit.transactions.rq_jobs.TransactionJob` is the same on the command line.
        """
        from fungible_kit.transactions.rq_jobs import job_class

        return job_class(self)


class _Body:
    """A response's body whose items are made inside the transaction, which ends when it is closed."""

    def __init__(self, body: Iterable[bytes], begun: Transaction, end: Callable[[Transaction], None]) -> None:
        self._body, self._begun, self._end = body, begun, end
        self._items: Iterator[bytes] | None = None

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        before = entered(self._begun)
        try:
            if self._items is None:
                self._items = iter(self._body)
            return next(self._items)
        finally:
            entered(before)

    def close(self) -> None:
        before = entered(self._begun)
        try:
            if hasattr(self._body, "close"):
                self._body.close()
        finally:
            entered(before)
            self._end(self._begun)

    def __del__(self) -> None:
        # A server must close it (PEP 3333); clients of tests do not all do so.
        if not self._begun.ended:
            self._end(self._begun)


class _SizedBody(_Body):
    """As `_Body`, of a list: a server that counts the items may go on to do so."""

    def __len__(self) -> int:
        return len(self._body)  # type: ignore[arg-type]
