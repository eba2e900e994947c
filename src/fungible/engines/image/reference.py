"""References of images: `registry.example:5000/shop:v3`, `shop@sha256:…` (the grammar of Docker's distribution)."""

from __future__ import annotations

import re
from dataclasses import dataclass

from fungible.app.problem import Problem
from fungible.app.wording import shown

_PART = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_HOST = r"(?:[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9a-fA-F:]+\])(?::[0-9]+)?"
_REFERENCE = re.compile(
    rf"((?:{_HOST}/)?{_PART}(?:/{_PART})*)(?::([A-Za-z0-9_][A-Za-z0-9_.-]{{0,127}}))?(?:@(sha256:[0-9a-f]{{64}}))?"
)


@dataclass(frozen=True)
class Reference:
    """A reference in its parts; `tag` and `digest` are None where it has none."""

    repository: str
    tag: str | None
    digest: str | None

    @property
    def version(self) -> str:
        """What tells one image of the repository from another, in letters and digits; `latest` is what Docker takes
        for none."""
        found = self.digest.removeprefix("sha256:") if self.digest else self.tag or "latest"
        return "".join(each for each in found.lower() if each.isalnum()) or "latest"


def reference_of(text: str, option: str) -> Reference:
    """The parts of a reference. Raises Problem, naming the `option` that gave it, for what is none."""
    found = _REFERENCE.fullmatch(text)
    if found is None:
        raise Problem(f"{option}: {shown(text)} is no name of an image; write it as in registry.example/shop:v3")
    return Reference(found[1], found[2], found[3])
