"""`fungible ps`."""

from __future__ import annotations

from fungible.cli.common import HERE, AppFolder, Json
from fungible.cli.running import Engine, client_of, on_swarm, show


def ps(app: AppFolder = HERE, engine: Engine = None, json: Json = False) -> int:
    """Show the processes of the running formation."""
    if (there := on_swarm(app, engine)) is not None:
        from fungible.engines.swarm.formation import formation_document, services_of, shown, tasks_of

        tasks = tasks_of(there.name, services_of(there.name))
        show(formation_document(tasks), shown(tasks), as_json=json)
        return 0
    from fungible.control.table import formation_table

    document = client_of(app).get("/v1/formation")
    show(document, formation_table(document), as_json=json)
    return 0
