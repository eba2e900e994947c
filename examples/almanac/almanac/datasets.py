"""A user's data sets: list, find, add, refresh, remove."""

import time
from typing import Any
from urllib.parse import urlsplit

from sqlalchemy import delete, func, select
from sqlalchemy.orm import selectinload

from almanac import jobs
from almanac.database import Column, Dataset, reading, writing
from almanac.download import DownloadError, check_url

MAX_PER_USER = 100


class RefusedError(ValueError):
    """The data set cannot be added; the message says why, for the user."""


def of_user(user_id: int) -> list[Dataset]:
    """Return the user's data sets, without their columns, in the order in which they were added."""
    with reading() as session:
        return list(session.scalars(select(Dataset).where(Dataset.owner_id == user_id).order_by(Dataset.id)))


def find(user_id: int, dataset_id: int) -> Dataset | None:
    """Return one data set with its columns and years; None where it is not there or not the user's."""
    wanted = select(Dataset).where(Dataset.id == dataset_id, Dataset.owner_id == user_id)
    with reading() as session:
        return session.scalar(wanted.options(selectinload(Dataset.columns).selectinload(Column.years)))


def add(user_id: int, url: str, title: str = "") -> int:
    """Add a data set and queue its download, in one transaction; return its id. Raises RefusedError."""
    url, title = url.strip(), " ".join(title.split())
    if len(url) > 2000 or len(title) > 120:
        raise RefusedError("the address may have 2,000 characters and the title 120")
    try:
        check_url(url)
    except DownloadError as error:
        raise RefusedError(str(error)) from None
    now = time.time()
    with writing() as session:
        mine = select(func.count()).select_from(Dataset).where(Dataset.owner_id == user_id)
        if (session.scalar(mine) or 0) >= MAX_PER_USER:
            raise RefusedError(f"you have {MAX_PER_USER} data sets; remove one first")
        if session.scalar(mine.where(Dataset.url == url)):
            raise RefusedError("you have a data set with this address already")
        title = title or (urlsplit(url).path.rpartition("/")[2] or url)[:120]
        dataset = Dataset(owner_id=user_id, url=url, title=title, status="queued", added_at=now)
        session.add(dataset)
        session.flush()
        jobs.enqueue(session, dataset.id, now)
        return dataset.id


def refresh(user_id: int, dataset_id: int) -> bool:
    """Queue the download again; False where the data set is not there."""
    with writing() as session:
        dataset = session.scalar(select(Dataset).where(Dataset.id == dataset_id, Dataset.owner_id == user_id))
        if dataset is None:
            return False
        dataset.status, dataset.problem = "queued", None
        jobs.enqueue(session, dataset_id, time.time())
        return True


def remove(user_id: int, dataset_id: int) -> bool:
    """Remove a data set with all that belongs to it; False where it is not there."""
    mine = delete(Dataset).where(Dataset.id == dataset_id, Dataset.owner_id == user_id)
    with writing() as session:
        return session.execute(mine.returning(Dataset.id)).one_or_none() is not None


def as_json(dataset: Dataset, columns: bool = False) -> dict[str, Any]:
    """Return what the API says of a data set; with `columns`, of what is in it as well."""
    said: dict[str, Any] = {
        "id": dataset.id,
        "title": dataset.title,
        "url": dataset.url,
        "status": dataset.status,
        "problem": dataset.problem,
        "rows": dataset.rows,
    }
    if columns:
        said["columns"] = [
            {
                "name": column.name,
                "count": column.count,
                "mean": column.mean,
                "min": column.minimum,
                "max": column.maximum,
                "years": {str(year.year): year.mean for year in column.years},
            }
            for column in dataset.columns
        ]
    return said
