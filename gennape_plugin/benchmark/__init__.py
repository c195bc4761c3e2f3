"""The paper's tables and ours, on labelled pools, from saved weights."""

from .card import write_card
from .run import BenchmarkConfig, benchmark

__all__ = ["BenchmarkConfig", "benchmark", "write_card"]
