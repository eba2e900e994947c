"""The queue: jobs are rows, a claim is a lease, a result and the end of its job are one transaction.

A worker that dies keeps its lease only until it runs out; then the next worker takes the job again. A worker
that was too slow finds its lease gone and its result is not stored: a job may run twice, never count twice.
"""

import secrets
from dataclasses import dataclass

from sqlalchemy import ColumnElement, delete, or_, select, update
from sqlalchemy.orm import Session

from almanac import settings
from almanac.database import Column, Dataset, Job, Year, writing
from almanac.summary import Summary

MAX_ATTEMPTS = 3


@dataclass(frozen=True)
class Claim:
    """A job that this worker holds until its lease runs out."""

    job_id: int
    lease_id: str
    dataset_id: int
    url: str
    attempt: int  # counts from 1


def enqueue(session: Session, dataset_id: int, now: float) -> None:
    """Queue a data set in the caller's transaction, if it is not queued already. `now` is epoch seconds."""
    if session.scalar(select(Job.id).where(Job.dataset_id == dataset_id)) is None:
        session.add(Job(dataset_id=dataset_id, run_after=now, attempts=0))


def claim(now: float) -> Claim | None:
    """Take the oldest job that is due and that nobody holds, or None."""
    lease_id = secrets.token_hex(8)
    while True:
        with writing() as session:
            due = select(Job.id).where(_free(now)).order_by(Job.run_after, Job.id).limit(1).scalar_subquery()
            taken = session.execute(
                update(Job)
                .where(Job.id == due, _free(now))
                .values(
                    lease_id=lease_id,
                    leased_until=now + settings.LEASE_SECONDS,
                    attempts=Job.attempts + 1,
                )
                .returning(Job.id, Job.dataset_id, Job.attempts)
                .execution_options(synchronize_session=False)
            ).one_or_none()
            if taken is None:
                return None
            job_id, dataset_id, attempt = taken
            dataset = session.get_one(Dataset, dataset_id)
            held = Claim(job_id, lease_id, dataset_id, dataset.url, attempt)
            if attempt <= MAX_ATTEMPTS:
                return held
            # Every attempt ended without a word: whoever took it was killed each time.
            _end(session, held)
            dataset.status = "failed"
            dataset.problem = f"gave up after {MAX_ATTEMPTS} attempts that ended without a result"


def renew(held: Claim, now: float) -> bool:
    """Move the end of a lease; False where it was lost."""
    mine = update(Job).where(Job.id == held.job_id, Job.lease_id == held.lease_id)
    later = mine.values(leased_until=now + settings.LEASE_SECONDS).returning(Job.id)
    with writing() as session:
        return session.execute(later).one_or_none() is not None


def finish(held: Claim, summary: Summary, now: float) -> bool:
    """Store the result and end the job; False, with nothing stored, where the lease was lost."""
    with writing() as session:
        if not _end(session, held):
            return False
        dataset = session.get_one(Dataset, held.dataset_id)
        dataset.status, dataset.problem = "ready", None
        dataset.rows, dataset.fetched_at = summary.rows, now
        store_summary(dataset, summary)
        return True


def store_summary(dataset: Dataset, summary: Summary) -> None:
    """Put a summary's columns and years in place of those that the data set has."""
    dataset.columns = [
        Column(
            position=position,
            name=column.name,
            count=column.count,
            mean=column.mean,
            minimum=column.minimum,
            maximum=column.maximum,
            years=[Year(year=year, mean=mean) for year, mean in column.years],
        )
        for position, column in enumerate(summary.columns)
    ]


def fail(held: Claim, problem: str, now: float, retry: bool) -> bool:
    """Say why an attempt failed; it is tried again later where `retry` and attempts are left."""
    with writing() as session:
        again = retry and held.attempt < MAX_ATTEMPTS
        if not (_hand_back(session, held, now + _pause(held.attempt)) if again else _end(session, held)):
            return False
        dataset = session.get_one(Dataset, held.dataset_id)
        dataset.problem = f"{problem}; it will be tried again" if again else problem
        dataset.status = "queued" if again else "failed"
        return True


def hand_back(held: Claim, now: float) -> bool:
    """Give a job up unfinished, at once, as if it had not been taken."""
    with writing() as session:
        return _hand_back(session, held, now, attempts=held.attempt - 1)


def _free(now: float) -> ColumnElement[bool]:
    return (Job.run_after <= now) & or_(Job.leased_until.is_(None), Job.leased_until < now)


def _pause(attempt: int) -> float:
    return settings.RETRY_SECONDS * 2.0 ** (attempt - 1)


def _end(session: Session, held: Claim) -> bool:
    mine = delete(Job).where(Job.id == held.job_id, Job.lease_id == held.lease_id)
    return session.execute(mine.returning(Job.id)).one_or_none() is not None


def _hand_back(session: Session, held: Claim, run_after: float, attempts: int | None = None) -> bool:
    mine = update(Job).where(Job.id == held.job_id, Job.lease_id == held.lease_id)
    values = {"lease_id": None, "leased_until": None, "run_after": run_after}
    values |= {} if attempts is None else {"attempts": attempts}
    return session.execute(mine.values(**values).returning(Job.id)).one_or_none() is not None
