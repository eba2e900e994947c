"""`fungible ps`."""

from __future__ import annotations

from fungible.cli.common import HERE, AppFolder, Json
from fungible.cli.running import client_of, show


def ps(app: AppFolder = HERE, json: Json = False) -> int:
    """Show the processes of the running formation."""
    from fungible.control.table import formation_table

    document = client_of(app).get("/v1/formation")
    show(document, formation_table(document), as_json=json)
    return 0
