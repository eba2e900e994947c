"""The tables, and sessions on them. The database is the only place where almanac's data lives."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, ClassVar

from sqlalchemy import Engine, ForeignKey, String, UniqueConstraint, create_engine, event
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, relationship

from almanac import settings


class Base(DeclarativeBase):
    # An id that was given once is never given again, so that an old link cannot show another data set.
    __table_args__: ClassVar[Any] = {"sqlite_autoincrement": True}


class User(Base):
    __tablename__ = "users"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(80), unique=True)
    password_hash: Mapped[str] = mapped_column(String(255))


class Dataset(Base):
    __tablename__ = "datasets"
    __table_args__ = (UniqueConstraint("owner_id", "url"), {"sqlite_autoincrement": True})
    id: Mapped[int] = mapped_column(primary_key=True)
    owner_id: Mapped[int] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    url: Mapped[str] = mapped_column(String(2000))
    title: Mapped[str] = mapped_column(String(120))
    status: Mapped[str] = mapped_column(String(10), default="queued")  # queued, ready or failed
    problem: Mapped[str | None] = mapped_column(String(500))
    rows: Mapped[int | None]
    added_at: Mapped[float]
    fetched_at: Mapped[float | None]
    columns: Mapped[list["Column"]] = relationship(
        order_by="Column.position", cascade="all, delete-orphan", passive_deletes=True
    )


class Column(Base):
    """What is known of one numeric column of a data set."""

    __tablename__ = "columns"
    id: Mapped[int] = mapped_column(primary_key=True)
    dataset_id: Mapped[int] = mapped_column(ForeignKey("datasets.id", ondelete="CASCADE"), index=True)
    position: Mapped[int]
    name: Mapped[str] = mapped_column(String(80))
    count: Mapped[int]
    mean: Mapped[float]
    minimum: Mapped[float]
    maximum: Mapped[float]
    years: Mapped[list["Year"]] = relationship(
        order_by="Year.year", cascade="all, delete-orphan", passive_deletes=True
    )


class Year(Base):
    """The mean of one column in one year."""

    __tablename__ = "years"
    __table_args__: ClassVar[Any] = {}
    column_id: Mapped[int] = mapped_column(ForeignKey("columns.id", ondelete="CASCADE"), primary_key=True)
    year: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    mean: Mapped[float]


class Job(Base):
    """A data set that waits to be fetched. A worker holds it by a lease; a finished job is deleted."""

    __tablename__ = "jobs"
    id: Mapped[int] = mapped_column(primary_key=True)
    dataset_id: Mapped[int] = mapped_column(ForeignKey("datasets.id", ondelete="CASCADE"), unique=True)
    run_after: Mapped[float]
    attempts: Mapped[int] = mapped_column(default=0)
    lease_id: Mapped[str | None] = mapped_column(String(32))
    leased_until: Mapped[float | None]


def connect(url: str) -> Engine:
    """Return an engine; SQLite in WAL mode, so that several processes read while one writes."""
    engine = create_engine(url)
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _prepare_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
    return engine


def _prepare_sqlite(connection: Any, _record: Any) -> None:
    connection.isolation_level = None  # the driver shall not begin transactions: _begin_sqlite does
    connection.execute("PRAGMA busy_timeout = 10000")
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = NORMAL")
    connection.execute("PRAGMA foreign_keys = ON")


def _begin_sqlite(connection: Any) -> None:
    # A transaction that starts by reading and then writes fails at once where another process wrote in
    # between, whatever the busy timeout. One that is going to write says so at its first statement.
    writes = connection.get_execution_options().get("writes", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


engine = connect(settings.DATABASE_URL)


@contextmanager
def reading() -> Iterator[Session]:
    """A session that only reads."""
    with Session(engine, expire_on_commit=False) as session:
        yield session


@contextmanager
def writing() -> Iterator[Session]:
    """A session that is one transaction: committed at the end of the block, rolled back by an exception."""
    with Session(engine.execution_options(writes=True), expire_on_commit=False) as session, session.begin():
        yield session
