"""The worker: take a job, fetch its file, summarise it, store the result. `--once`: until the queue is empty."""

import argparse
import logging
import time
from collections.abc import Iterable, Iterator

from almanac import jobs, settings, stop
from almanac.download import DownloadError, StoppedError, downloaded
from almanac.summary import SummaryError, lines_of, summarise
from fungible_kit import transaction

_LINES = 20_000  # between two looks at the clock

log = logging.getLogger("almanac.worker")


class LostError(Exception):
    """The lease of the job is another worker's by now."""


def work(held: jobs.Claim) -> None:
    """Carry out one job. Everything between the claim and the result lives in one scratch folder."""
    try:
        with (
            transaction(),
            downloaded(held.url, stop.asked) as path,
            path.open(encoding="utf-8-sig", newline="") as file,
        ):
            summary = summarise(_watched(lines_of(file), held))
    except LostError:
        log.info("data set %d: lease was lost", held.dataset_id)
    except StoppedError:
        jobs.hand_back(held, time.time())
        log.info("data set %d: handed back", held.dataset_id)
    except (DownloadError, SummaryError) as error:
        jobs.fail(held, str(error), time.time(), retry=getattr(error, "retry", False))
        log.info("data set %d: %s", held.dataset_id, error)
    else:
        kept = jobs.finish(held, summary, time.time())
        log.info("data set %d: %s", held.dataset_id, f"{summary.rows} rows" if kept else "lease was lost")


def _watched(lines: Iterable[str], held: jobs.Claim) -> Iterator[str]:
    """The lines, renewing the lease in time. Raises StoppedError where the worker is to stop, LostError."""
    renew_at = time.time() + settings.LEASE_SECONDS / 3
    for number, line in enumerate(lines, 1):
        if number % _LINES == 0:
            if stop.asked():
                raise StoppedError
            if (now := time.time()) >= renew_at:
                if not jobs.renew(held, now):
                    raise LostError
                renew_at = now + settings.LEASE_SECONDS / 3
        yield line


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m almanac.worker")
    parser.add_argument("--once", action="store_true", help="end as soon as no job is due")
    once = parser.parse_args().once
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    log.info("worker ready")
    while not stop.asked():
        held = jobs.claim(time.time())
        if held is not None:
            work(held)
        elif once or stop.wait(settings.POLL_SECONDS):
            break


if __name__ == "__main__":
    stop.hold_signals()
    main()
