"""How many of the networks that people use can be captured, and at what price."""

from .catalogue import SOURCES, Sample, catalogue_of
from .measuring import Record, measured
from .runs import Shard, run_all
from .summary import summary

__all__ = [
    "SOURCES",
    "Record",
    "Sample",
    "Shard",
    "catalogue_of",
    "measured",
    "run_all",
    "summary",
]
