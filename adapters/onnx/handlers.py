"""All handlers and patterns: importing this module fills the tables."""

from . import (  # noqa: F401
    norm_patterns,
    ops_activations,
    ops_attention,
    ops_elementwise,
    ops_layout,
    ops_norms,
    ops_pools,
    ops_quantised,
    ops_recurrent,
    ops_reductions,
    ops_slicing,
    ops_weighted,
    patterns,
)
