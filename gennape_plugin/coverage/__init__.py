"""How many of the networks that people use can be captured, and at what price."""

from .measuring import Record, measured
from .runs import Shard, run_all
from .summary import summary

__all__ = ["Record", "Shard", "measured", "run_all", "summary"]
