"""FU210: counters of prometheus_client that every process keeps for itself."""

from __future__ import annotations

from collections.abc import Iterator

from fungible.check.finding import Finding, Level, Rule
from fungible.check.settings.project import Project, owner
from fungible.check.settings.servers import workers

FU210 = Rule(
    id="FU210",
    title="metrics are those of the process that is asked",
    why="Each scrape meets another process, so that counters seem to jump back and forth.",
    mend="Let every process be scraped by itself, or use prometheus_client's multiprocess mode"
    " (PROMETHEUS_MULTIPROC_DIR with MultiProcessCollector) where one machine runs several.",
    topic="counter-or-limiter",
    wrong="""\
from flask import Flask
from prometheus_client import make_wsgi_app
app = Flask(__name__)
app.wsgi_app = make_wsgi_app()
""",
    right="""\
from flask import Flask
from prometheus_client import CollectorRegistry, make_wsgi_app, multiprocess
app = Flask(__name__)
registry = CollectorRegistry()
multiprocess.MultiProcessCollector(registry)
app.wsgi_app = make_wsgi_app(registry)
""",
)
RULES = (FU210,)

_EXPOSES = (
    *(f"prometheus_client.{name}" for name in ("make_wsgi_app", "make_asgi_app", "generate_latest")),
    *(
        f"prometheus_client.{name}"
        for name in ("start_http_server", "start_wsgi_server", "exposition.generate_latest")
    ),
    "prometheus_flask_exporter.PrometheusMetrics",
    "prometheus_fastapi_instrumentator.Instrumentator",
    "starlette_exporter.PrometheusMiddleware",
    "starlette_exporter.handle_metrics",
    "aioprometheus.asgi.starlette.metrics",
)
_MULTIPROCESS = ("prometheus_multiproc_dir", "multiprocesscollector", "multiprocessprometheusmetrics")


def find(project: Project) -> Iterator[Finding]:
    found = next(project.named(*_EXPOSES), None)
    settings = next((each for each in project.django if each.lists("INSTALLED_APPS", "django_prometheus")), None)
    if (found is None and settings is None) or not project.serves or _is_multiprocess(project):
        return
    several = next(((where, count) for where, count in workers(project) if count > 1), None)
    level = Level.LIKELY if several else Level.POSSIBLE
    tail = f", and {several[0]} starts {several[1]} workers" if several else ""
    message = f"prometheus_client is exposed without its multiprocess mode{tail}"
    if found is not None:
        yield project.told(found, "FU210", level, message, owner(found))
    elif settings is not None:
        yield project.bound(settings.where("INSTALLED_APPS"), "FU210", level, message, "django_prometheus")


def _is_multiprocess(project: Project) -> bool:
    texts = (source.text for source in project.tree.sources if not source.path.endswith((".md", ".rst", ".txt")))
    return any(word in text.lower() for text in texts for word in _MULTIPROCESS)
