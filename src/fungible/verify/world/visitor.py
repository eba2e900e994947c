"""A client that sends a workload: what it keeps from one answer to the next, cookies by jar and saved values."""

from __future__ import annotations

from collections.abc import Mapping

from fungible.verify.transcript import Answer, Sent
from fungible.verify.workload.extraction import extract
from fungible.verify.workload.steps import Request, Workload, render
from fungible.verify.world.client import as_sent, host_header
from fungible.verify.world.cookies import Jar


class Visitor:
    """The client of one run of `workload`; `defaults` are taken for values that it could not save."""

    def __init__(self, workload: Workload, defaults: Mapping[str, str] | None = None) -> None:
        self._workload = workload
        self._defaults = defaults or {}
        self._jars: dict[str, Jar] = {}
        self.variables: dict[str, str] = {}

    def request(self, step: Request) -> Sent:
        """The request as it goes out now."""
        rendered = render(step, {**self._defaults, **self.variables}, self._workload.headers)
        cookie = self.jar(step).header(rendered.target)
        return as_sent(rendered, host_header(self._workload.host, {}), cookie)

    def jar(self, step: Request) -> Jar:
        """The cookies of the client that sends it."""
        return self._jars.setdefault(step.jar, Jar())

    def took(self, step: Request, sent: Sent, answer: Answer) -> None:
        """Keep what the answer gives."""
        jar = self.jar(step)
        jar.store(sent.target, [value for name, value in answer.headers if name == "set-cookie"])
        for name, expression in step.save.items():
            value = extract(expression, answer, jar.values)
            if value is not None:
                self.variables[name] = value
