"""The clock, one process: removes data sets and tokens that are too old, queues data sets that want a fresh copy."""

import argparse
import logging
import time

from sqlalchemy import delete, select

from almanac import jobs, settings, stop
from almanac.access import tokens
from almanac.database import Dataset, writing

log = logging.getLogger("almanac.clock")


def tick(now: float) -> tuple[int, int]:
    """Do one round; return how many data sets were removed and how many were queued."""
    with writing() as session:
        removed = 0
        if settings.KEEP_DAYS:
            old = delete(Dataset).where(Dataset.added_at < now - settings.KEEP_DAYS * 86400)
            removed = len(session.execute(old.returning(Dataset.id)).all())
        stale = select(Dataset.id).where(
            Dataset.status == "ready", Dataset.fetched_at < now - settings.REFRESH_SECONDS
        )
        queued = session.scalars(stale).all()
        for dataset_id in queued:
            jobs.enqueue(session, dataset_id, now)
    return removed, len(queued)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m almanac.clock")
    parser.add_argument("--once", action="store_true", help="do one round and end")
    once = parser.parse_args().once
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    while True:
        removed, queued = tick(time.time())
        tokens.purge()
        log.info("removed %d, queued %d", removed, queued)
        if once or stop.wait(settings.CLOCK_SECONDS):
            break


if __name__ == "__main__":
    stop.hold_signals()
    main()
