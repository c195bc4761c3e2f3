"""NNI: computation graphs of its hub's search spaces, from a sample of choices alone.

Nothing here imports NNI, and no module is built: the class of a space, its constructor
arguments and a sample say everything. What these say for a user's own space only the
frozen module knows; that is captured (:mod:`gennape_plugin.sources.nni`).
"""

from .objects import HUB, HubSpace, hub_space
from .routes import default_input_shape, native_graph

__all__ = ["HUB", "HubSpace", "default_input_shape", "hub_space", "native_graph"]
