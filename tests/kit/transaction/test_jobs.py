"""Jobs of Celery and RQ are transactions: with real workers, and what a killed one left is reaped by the next."""

from __future__ import annotations

import logging
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from celery import Celery, signals
from celery.contrib.testing.worker import start_worker
from redis import Redis
from rq import Queue, SimpleWorker, Worker
from rq.job import Job

from fungible_kit import Leak, Transactions
from tests.examples.example_apps import valkey_server
from tests.kit.transaction import job_functions


@pytest.fixture
def leaks() -> list[Leak]:
    return []


@pytest.fixture
def celery_app(base: Path, leaks: list[Leak]) -> Iterator[Celery]:
    app = Celery("shop", broker="memory://", backend="cache+memory://")
    app.conf.update(task_store_eager_result=False, broker_connection_retry_on_startup=False)
    app.conf.update(broker_transport_options={"polling_interval": 0.02})  # seconds; else it is one
    before = [(signal, list(signal.receivers or [])) for signal in (signals.task_prerun, signals.task_postrun)]
    level = logging.getLogger().level
    Transactions(on_leak=leaks.append).celery(app)
    yield app
    logging.getLogger().setLevel(level)  # the worker's, which would hide what later tests look for
    for signal, receivers in before:
        signal.receivers = receivers
        signal.sender_receivers_cache.clear()


@pytest.mark.parametrize("pool", ["solo", "threads"])
def test_a_celery_task_is_a_transaction(celery_app: Celery, base: Path, leaks: list[Leak], pool: str) -> None:
    rates = celery_app.task(name=f"rates-{pool}")(job_functions.rates)
    leaving = celery_app.task(name=f"leaving-{pool}")(job_functions.leaving)
    failing = celery_app.task(name=f"failing-{pool}")(job_functions.failing)

    @celery_app.task(name=f"nested-{pool}")
    def nested() -> list[float]:
        own = job_functions.rates()
        return [*own, *rates.apply().get(disable_sync_subtasks=False), *job_functions.rates()]

    @celery_app.task(name=f"again-{pool}", bind=True, max_retries=1)
    def again(self: Any) -> bool:
        if self.request.retries == 0:
            raise self.retry(countdown=0)
        return job_functions.in_transaction()

    def got(task: Any) -> Any:
        return task.delay().get(timeout=60, interval=0.02)

    with start_worker(celery_app, pool=pool, perform_ping_check=False, concurrency=2):
        one, two = got(rates), got(rates)
        assert one[0] == one[1] != two[0] == two[1]
        own, own_again, inner, inner_again, after, _ = got(nested)
        assert own == own_again == after != inner == inner_again
        assert got(again) is True
        path = got(leaving)
        with pytest.raises(LookupError):
            got(failing)
    assert [leak.path for leak in leaks][:1] == [path] and len(leaks) == 2
    assert list(base.iterdir()) == []
    assert job_functions.in_transaction() is False


@pytest.fixture(scope="module")
def valkey() -> Iterator[Redis]:
    folder = Path(tempfile.mkdtemp(prefix="rq-"))  # a socket's path must be short
    try:
        with valkey_server(folder) as url, Redis.from_url(url) as client:
            yield client
    finally:
        shutil.rmtree(folder)


def done(queue: Queue, worker: type[Worker], job_class: type[Job], *functions: Any) -> list[Job]:
    """The jobs, worked on until none is left; told as a producer without our class sees them."""
    jobs = [queue.enqueue(function) for function in functions]
    worker([queue], connection=queue.connection, job_class=job_class).work(burst=True, logging_level="CRITICAL")
    return [Job.fetch(job.id, connection=queue.connection) for job in jobs]


@pytest.mark.parametrize("worker", [SimpleWorker, Worker])  # in one process, and a forked one a job
def test_an_rq_job_is_a_transaction(
    valkey: Redis, base: Path, worker: type[Worker], leaks: list[Leak], tmp_path: Path
) -> None:
    queue = Queue(f"of-{worker.__name__}", connection=valkey)
    told = tmp_path / "told"

    def tell(leak: Leak) -> None:
        with told.open("a") as file:
            file.write(f"{leak.path}\n")

    one, two, leaving, failing = done(
        queue,
        worker,
        Transactions(on_leak=tell).rq(),
        job_functions.rates,
        job_functions.rates,
        job_functions.leaving,
        job_functions.failing,
    )
    assert one.return_value()[0] == one.return_value()[1] != two.return_value()[0] == two.return_value()[1]
    assert failing.is_failed
    assert leaving.return_value() == told.read_text().splitlines()[0] and len(told.read_text().splitlines()) == 2
    assert list(base.iterdir()) == []


def test_f4_what_a_killed_job_left_is_reaped_by_the_next(
    valkey: Redis, base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from fungible_kit.transactions.rq_jobs import TransactionJob

    monkeypatch.setenv("TEST_PATH", str(tmp_path / "path"))
    queue = Queue("dying", connection=valkey)
    (dead,) = done(queue, Worker, TransactionJob, job_functions.dying)
    left = Path((tmp_path / "path").read_text())
    assert dead.is_failed and left.joinpath("big").stat().st_size == 100_000
    done(queue, Worker, TransactionJob, job_functions.leaving)
    assert list(base.iterdir()) == []
