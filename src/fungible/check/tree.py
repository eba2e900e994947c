"""What is checked: the files of a folder as values, and what several rules read out of them."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property

from fungible.check.python.program import Program
from fungible.check.source import Source


@dataclass(frozen=True)
class Tree:
    """The sources, sorted by path. Pure: reading them from a disk is `fungible.check.reading`."""

    sources: tuple[Source, ...]

    @staticmethod
    def of(texts: Iterable[tuple[str, str]]) -> Tree:
        """The tree of these pairs of path and text."""
        return Tree(tuple(Source(path, text) for path, text in sorted(texts)))

    def named(self, *patterns: str) -> Iterator[Source]:
        """The sources whose name or whole path matches one of the shell patterns, in the order of their paths."""
        for source in self.sources:
            if any(fnmatch.fnmatchcase(part, each) for each in patterns for part in (source.name, source.path)):
                yield source

    @cached_property
    def program(self) -> Program:
        """The Python modules, each read once."""
        return Program.of(self.named("*.py"))
