"""Random changes of a computation graph that leave it a valid classifier."""

from .anatomy import Frozen, check_classifier
from .mutator import MOVES, Mutation, Mutator

__all__ = ["MOVES", "Frozen", "Mutation", "Mutator", "check_classifier"]
