"""The paper's tables and ours, on labelled pools, from saved weights."""

from .run import BenchmarkConfig, benchmark

__all__ = ["BenchmarkConfig", "benchmark"]
