"""Random changes of a computation graph that leave it a valid classifier."""

from .anatomy import Frozen, check_classifier
from .moves import MOVES
from .mutator import Mutation, Mutator

__all__ = ["MOVES", "Frozen", "Mutation", "Mutator", "check_classifier"]
