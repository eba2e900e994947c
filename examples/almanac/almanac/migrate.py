"""Runs once for each release: makes the tables that are missing; with ALMANAC_DEMO, users and a first data set.

Running it again changes nothing.
"""

import time
from pathlib import Path

from sqlalchemy import select
from sqlalchemy.orm import Session

from almanac import settings
from almanac.access import tokens
from almanac.accounts import passwords
from almanac.database import Base, Dataset, User, engine, writing
from almanac.jobs import store_summary
from almanac.summary import summarise

DEMO_DATA = Path(__file__).parent / "demo_data"
DEMO_USERS = {"ann": "apple-pie", "bob": "blueberry"}
DEMO_DATASETS = (
    ("ann", "Weather, month by month", "weather.csv"),
    ("ann", "Harvest", "harvest.csv"),
    ("bob", "River levels", "rivers.csv"),
)


def migrate() -> None:
    with engine.execution_options(writes=True).begin() as connection:
        Base.metadata.create_all(connection)
    tokens.create()
    if settings.DEMO:
        with writing() as session:
            if session.scalar(select(User.id).limit(1)) is None:
                _seed(session, time.time())
            # Databases of before the kit's Passwords have hashes of another kind.
            for user in session.scalars(select(User).where(~User.password_hash.startswith("$argon2"))):
                if user.name in DEMO_USERS:
                    user.password_hash = passwords.hash(DEMO_USERS[user.name])


def _seed(session: Session, now: float) -> None:
    users = {name: User(name=name, password_hash=passwords.hash(DEMO_USERS[name])) for name in DEMO_USERS}
    session.add_all(users.values())
    session.flush()
    for owner, title, name in DEMO_DATASETS:
        with (DEMO_DATA / name).open(encoding="utf-8", newline="") as lines:
            summary = summarise(lines)
        dataset = Dataset(
            owner_id=users[owner].id,
            title=title,
            url=f"http://127.0.0.1:8765/{name}",
            status="ready",
            rows=summary.rows,
            added_at=now,
            fetched_at=now,
        )
        store_summary(dataset, summary)
        session.add(dataset)


if __name__ == "__main__":
    migrate()
