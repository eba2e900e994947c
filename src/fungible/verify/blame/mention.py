"""What an object that changed says of the requests that changed it: it holds their words, as a key or in a value."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Sequence

from fungible.verify.blame.agent.told import Change
from fungible.verify.transcript import Answer, Sent, Transcript

_WORD = re.compile(r"[^\W_][\w.@-]{2,63}")
_MOST_BYTES = 20_000
_COMMON = 3
"""A word that more objects than this, and more than a quarter of all, hold tells nothing of one of them."""


def words_of(transcript: Transcript, observer: int) -> frozenset[str]:
    """The words of the requests before `observer`, and of what they were answered: names, ids, tokens."""
    words: set[str] = set()
    for sent, answer in zip(transcript.sent[:observer], transcript.answers[:observer], strict=True):
        words |= _words(sent, answer)
    return frozenset(words)


class Mention:
    """Which of these changes mention some of the words."""

    def __init__(self, words: Collection[str], changes: Sequence[Change]) -> None:
        held = [set(words).intersection(_WORD.findall(_said(change))) for change in changes]
        times = Counter(word for each in held for word in each)
        few = max(_COMMON, len(changes) // 4)
        self._telling = {
            change.path
            for change, each in zip(changes, held, strict=True)
            if any(times[word] <= few for word in each)
        }

    def of(self, change: Change) -> bool:
        """Whether this one does."""
        return change.path in self._telling


def _said(change: Change) -> str:
    return " ".join((change.what, *(part.text() for part in change.parts)))


def _words(sent: Sent | None, answer: Answer) -> set[str]:
    if sent is None:
        return set()
    body = b" ".join((sent.body[:_MOST_BYTES], answer.body[:_MOST_BYTES])).decode("utf-8", "replace")
    cookies = " ".join(value for name, value in answer.headers if name in ("set-cookie", "location"))
    return set(_WORD.findall(f"{sent.target} {cookies} {body}"))
