"""Which steps belong to one client: seen from the credentials that travel, without being told."""

from __future__ import annotations

from fungible.verify.transcript import Transcript


def jars(run: Transcript) -> tuple[int, ...]:
    """Per step the number of its client, counted from 1; 0 where a step neither carries nor gets credentials.

    A step belongs to the client whose earlier answer set the cookie that it sends, or which sent the same
    cookie or the same Authorization before.
    """
    owner: dict[tuple[str, str], int] = {}
    result: list[int] = []
    count = 0
    for sent, answer in zip(run.sent, run.answers, strict=True):
        carried = []
        for name, value in sent.headers if sent is not None else ():
            low = name.lower()
            if low == "authorization":
                carried.append((low, value))
            elif low == "cookie":
                carried.extend(_pair(part) for part in value.split(";"))
        given = [_pair(value.split(";", 1)[0]) for name, value in answer.headers if name.lower() == "set-cookie"]
        given = [pair for pair in given if len(pair[1]) > 3]
        if not carried and not given:
            result.append(0)
            continue
        known = [owner[pair] for pair in carried if pair in owner]
        jar = known[0] if known else count + 1
        count = max(count, jar)
        for pair in (*carried, *given):
            owner.setdefault(pair, jar)
        result.append(jar)
    return tuple(result)


def _pair(text: str) -> tuple[str, str]:
    name, _, value = text.partition("=")
    return name.strip(), value.strip()
