"""The stylesheet, compiled from styles/site.css.in when a page needs it."""

import hashlib
import re
from pathlib import Path

HERE = Path(__file__).parent
SOURCE = HERE / "styles" / "site.css.in"
OUT = HERE / "static" / "css"


def compile_styles(source: str) -> str:
    """Put the values of `$name: value;` lines in the place of `$name`."""
    names = dict(re.findall(r"^\$([\w-]+):\s*(.+?);\s*$", source, re.M))
    rules = re.sub(r"^\$.*\n", "", source, flags=re.M)
    return re.sub(r"\$([\w-]+)", lambda found: names[found[1]], rules)


def stylesheet_url() -> str:
    text = compile_styles(SOURCE.read_text())
    name = f"site-{hashlib.sha256(text.encode()).hexdigest()[:10]}.css"
    if not (OUT / name).exists():
        OUT.mkdir(parents=True, exist_ok=True)
        (OUT / name).write_text(text)
    return f"/static/css/{name}"
