"""The blame agent: finds, in the booted processes of an app, the object or file that held state, and its line.

`inside/` runs within the app's own interpreter (Python 3.9 or later, standard library alone) and is put there by
the environment that `AgentServer.environment` gives. `host` serves the other end, `naming` words what it finds.
"""

from fungible.verify.blame.agent.host import AgentServer
from fungible.verify.blame.agent.naming import ObjectPath, differing_atoms
from fungible.verify.blame.agent.told import Atom, Change, FileEvent, Greeting, Place, Restored, Snapshot, Write

__all__ = [
    "AgentServer",
    "Atom",
    "Change",
    "FileEvent",
    "Greeting",
    "ObjectPath",
    "Place",
    "Restored",
    "Snapshot",
    "Write",
    "differing_atoms",
]
