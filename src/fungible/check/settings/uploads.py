"""FU203: uploaded files on a process's own disk."""

from __future__ import annotations

from collections.abc import Iterator

from fungible.check.finding import Finding, Level, Rule
from fungible.check.settings.calls import Call
from fungible.check.settings.django_settings import Settings
from fungible.check.settings.places import Place, place
from fungible.check.settings.project import Project, leveled
from fungible.check.settings.values import ABSENT, UNKNOWN, Answer, Environ, Mixed, Value, judge

FU203 = Rule(
    id="FU203",
    title="uploads are kept on the local disk",
    why="A file that one process took in is not there for the next request, and it is gone with the machine.",
    mend="Set STORAGES to a storage that is a service (django-storages with S3 and the like), or MEDIA_ROOT to an"
    " attached folder named by the environment.",
    topic="files",
    wrong="""\
from django.db import models
INSTALLED_APPS = ["shop"]
ROOT_URLCONF = "shop.urls"
class Product(models.Model):
    picture = models.ImageField(upload_to="pictures")
""",
    right="""\
from django.db import models
INSTALLED_APPS = ["shop"]
ROOT_URLCONF = "shop.urls"
STORAGES = {"default": {"BACKEND": "storages.backends.s3.S3Storage"}}
class Product(models.Model):
    picture = models.ImageField(upload_to="pictures")
""",
)
RULES = (FU203,)

_LOCAL = ("FileSystemStorage", "InMemoryStorage")
_FIELDS = (
    "django.db.models.FileField",
    "django.db.models.ImageField",
    "django.db.models.fields.files.FileField",
    "django.db.models.fields.files.ImageField",
    "sorl.thumbnail.ImageField",
    "easy_thumbnails.fields.ThumbnailerImageField",
)


def find(project: Project) -> Iterator[Finding]:
    fields = [
        call
        for call in project.named(*_FIELDS)
        if call.function is None and call.node_of("storage") is None and place(call.module.path) is Place.PRODUCTION
    ]
    if not fields:
        return
    for settings in project.django:
        answer = judge(_storage(settings), _is_local)
        folder = settings.get("MEDIA_ROOT")
        if answer is Answer.NO or isinstance(folder, Mixed) or folder is UNKNOWN:
            continue
        if isinstance(folder, Environ):  # an attached folder; with a default of its own only where it is set
            if folder.default is UNKNOWN:
                continue
            answer = Answer.MAYBE
        where = settings.where("STORAGES", "DEFAULT_FILE_STORAGE", "MEDIA_ROOT")
        first = _field(fields[0])
        more = f" and {len(fields) - 1} more" if len(fields) > 1 else ""
        message = f"the default storage is the local disk, and {first}{more} keeps files in it"
        yield project.bound(where, "FU203", leveled(answer, Level.LIKELY), message, "STORAGES.default")


def _storage(settings: Settings) -> Value:
    """The class of the default storage, as Django 4.2 and later (STORAGES) or before 5.1 (DEFAULT_FILE_STORAGE)."""
    backend = settings.get("STORAGES", "default", "BACKEND")
    return settings.get("DEFAULT_FILE_STORAGE") if backend is ABSENT else backend


def _is_local(value: Value) -> bool:
    return value is ABSENT or (isinstance(value, str) and value.endswith(_LOCAL))


def _field(call: Call) -> str:
    for name, made in call.module.classes.items():
        for attribute, node in made.attributes.items():
            if node is call.node:
                return f"{name}.{attribute}"
    return f"{call.module.path}:{call.node.lineno}"
