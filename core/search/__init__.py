"""Search among neighbours of a network: candidates, goals, engines, the loop, its folder."""

from .candidate import Candidate, Scores
from .engines import Engine, LocalSearch
from .goal import Goal
from .loop import Search, SearchResult
from .run_folder import RunFolder

__all__ = [
    "Candidate",
    "Engine",
    "Goal",
    "LocalSearch",
    "RunFolder",
    "Scores",
    "Search",
    "SearchResult",
]
