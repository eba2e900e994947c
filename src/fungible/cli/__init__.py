"""The command line: one file a verb, with its options, its help text and the call, nothing else."""

from fungible.cli.main import main

__all__ = ["main"]
