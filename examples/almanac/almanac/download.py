"""One file over http(s), bounded in size and time, into scratch, and gone when the block ends."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

from almanac import settings
from fungible_kit import FetchError, FetchStopped, ScratchFull, scratch

_REDIRECTS = 3
_ANYWHERE = ("0.0.0.0/0", "::/0")


class DownloadError(Exception):
    """The file cannot be had; the message is for the user. `retry`: it may work later."""

    def __init__(self, message: str, retry: bool = False) -> None:
        super().__init__(message)
        self.retry = retry


class StoppedError(Exception):
    """The worker was asked to stop in the middle."""


@contextmanager
def downloaded(url: str, stop: Callable[[], bool] = lambda: False) -> Iterator[Path]:
    """Yield the path of a private copy of the file at `url`; the copy is removed at the end of the block.

    Raises DownloadError, and StoppedError as soon as `stop` returns True.
    """
    check_url(url)
    with scratch(limit=settings.MAX_BYTES, files=10) as tmp:
        try:
            path = tmp.fetch(
                url,
                max_bytes=settings.MAX_BYTES,
                timeout=settings.MAX_SECONDS,
                redirects=_REDIRECTS,
                networks=_ANYWHERE if settings.PRIVATE_URLS else (),
                stop=stop,
            )
        except FetchStopped:
            raise StoppedError from None
        except FetchError as error:
            # What did not come in all the time that it had is not asked for again.
            raise DownloadError(_said(error), error.retry and error.reason != "time") from None
        except ScratchFull:
            raise DownloadError("there is no room for the file now", retry=True) from None
        yield path


def check_url(url: str) -> SplitResult:
    """Return the parts of an http(s) URL. Raises DownloadError for anything else."""
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        usable = False
    if not usable or not url.isascii() or not url.isprintable() or " " in url or "@" in parts.netloc:
        raise DownloadError("give the address of a CSV file that starts with http:// or https://")
    return parts


def _said(error: FetchError) -> str:
    """What went wrong, for a user who sees no log."""
    match error.reason:
        case "address":
            return "the address is not on the public internet"
        case "redirect":
            return f"the address leads on more than {_REDIRECTS} times, or to where it may not"
        case "url":
            return "the address leads to one that does not start with http:// or https://"
        case "size":
            return f"the file is larger than {settings.MAX_BYTES:,} bytes"
        case "time":
            return f"the file did not come within {settings.MAX_SECONDS:g} seconds"
        case "status":
            return f"the server answered {error.status}"
        case "network":
            return f"the server could not be reached ({error.detail})"
        case _:
            return "the server does not send the file as it is"
