"""Search on the graphs of networks: ``gennape search``, and the same from Python."""

from .run import SearchConfig, search

__all__ = ["SearchConfig", "search"]
