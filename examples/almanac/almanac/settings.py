"""Every config var of almanac, read once from the environment. A missing one stops the process at boot."""

import os


class SettingError(RuntimeError):
    """A config var is missing or cannot be used."""


def _required(name: str, mend: str) -> str:
    value = os.environ.get(name, "")
    if not value:
        raise SettingError(f"{name} is not set: {mend}")
    return value


def _number(name: str, default: float) -> float:
    text = os.environ.get(name) or str(default)
    try:
        value = float(text)
    except ValueError:
        raise SettingError(f"{name} is {text!r}: give a number") from None
    if not 0 <= value < float("inf"):
        raise SettingError(f"{name} is {text!r}: give a number from 0")
    return value


def _flag(name: str) -> bool:
    return os.environ.get(name, "").lower() in {"1", "true", "yes", "on"}


DATABASE_URL = _required("DATABASE_URL", "the database, as in sqlite:////var/lib/almanac/almanac.db")
VALKEY_URL = _required("VALKEY_URL", "counters and, by default, sessions, as in valkey://127.0.0.1:6379/0")
# The kit's own variable: memcached://127.0.0.1:11211 moves the sessions to Memcached, without a line of code.
SESSION_URL = os.environ.get("FUNGIBLE_SESSION_URL") or VALKEY_URL

DEMO = _flag("ALMANAC_DEMO")  # the release makes the users ann and bob, and shows their passwords
PRIVATE_URLS = _flag("ALMANAC_PRIVATE_URLS")  # data sets may come from loopback and private addresses

SESSION_SECONDS = int(_number("ALMANAC_SESSION_SECONDS", 1800)) or 1  # a session unused this long is gone
POLL_SECONDS = _number("ALMANAC_POLL_SECONDS", 0.5)  # how often an idle worker looks for a job
MAX_BYTES = int(_number("ALMANAC_MAX_BYTES", 400 * 1024 * 1024))  # of a downloaded file
MAX_SECONDS = _number("ALMANAC_MAX_SECONDS", 60)  # of a download
LEASE_SECONDS = _number("ALMANAC_LEASE_SECONDS", 120)  # longer than a download; after it, another may take the job
RETRY_SECONDS = _number("ALMANAC_RETRY_SECONDS", 5)  # before the first retry; doubled for each one after
CLOCK_SECONDS = _number("ALMANAC_CLOCK_SECONDS", 60)  # between two rounds of the clock
REFRESH_SECONDS = _number("ALMANAC_REFRESH_SECONDS", 86400)  # data sets older than this are fetched again
KEEP_DAYS = _number("ALMANAC_KEEP_DAYS", 90)  # data sets older than this are removed; 0 keeps them

PROCESS = os.environ.get("FUNGIBLE_PROCESS", "a process started by hand")
RELEASE = os.environ.get("FUNGIBLE_RELEASE", "")
