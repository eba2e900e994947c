"""Comparing the transcripts of worlds: learn what warm worlds have in common, find where another one differs.

relations = learn(warm, masks, ignore_body)
deviations = compare(relations, candidate)
"""

from fungible.verify.compare.clock import Window
from fungible.verify.compare.coverage import Blind, NotJudged, Sensitivity, not_judged, sensitivity
from fungible.verify.compare.deviations import Deviation, Kind, at_step, compare, first
from fungible.verify.compare.jars import jars
from fungible.verify.compare.outdated import is_outdated, turned
from fungible.verify.compare.places import leaves
from fungible.verify.compare.relations import Relations, learn, widen

__all__ = [
    "Blind",
    "Deviation",
    "Kind",
    "NotJudged",
    "Relations",
    "Sensitivity",
    "Window",
    "at_step",
    "compare",
    "first",
    "is_outdated",
    "jars",
    "learn",
    "leaves",
    "not_judged",
    "sensitivity",
    "turned",
    "widen",
]
