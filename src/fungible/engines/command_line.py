"""An engine's own command line, asked: what it says as text, and what it refuses as one sentence."""

from __future__ import annotations

import subprocess

from fungible.app.problem import Exit, Problem
from fungible.app.wording import plain


def ask(program: str, *words: str, given: str | None = None, both: bool = False, partly: bool = False) -> str:
    """What `PROGRAM WORDS` prints, with `given` on its stdin; with `both` what it prints on stderr as well.

    Raises Problem (exit 3) where it is not here, and with its last line where it fails; with `partly` only where it
    prints nothing.
    """
    aside = subprocess.STDOUT if both else subprocess.PIPE
    try:
        done = subprocess.run(
            [program, *words], stdout=subprocess.PIPE, stderr=aside, text=True, errors="replace", input=given or ""
        )
    except OSError as error:
        raise Problem(
            f"{program} cannot be run ({error.strerror}); install its command line", Exit.NOT_ALLOWED
        ) from None
    if done.returncode != 0 and not (partly and done.stdout.strip()):
        lines = (done.stderr or done.stdout or "").strip().splitlines() or ["it says nothing"]
        named = " ".join(each for each in words[:2] if not each.startswith("-"))
        raise Problem(f"{program} {named}: {plain(lines[-1])[:400]}", Exit.NOT_ALLOWED)
    return done.stdout
