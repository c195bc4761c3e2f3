"""NASLib: architectures by their hash, which is a whole encoding; NASLib is never imported."""

from .spaces import SPACES, family_of, graph_of, hash_of, is_naslib_graph

__all__ = ["SPACES", "family_of", "graph_of", "hash_of", "is_naslib_graph"]
