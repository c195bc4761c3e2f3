"""All handlers: importing this module fills the table of :mod:`.registry`."""

from . import (
    ops_activations,
    ops_arithmetic,
    ops_aten,
    ops_aten_several,
    ops_casts,
    ops_elementwise,
    ops_layout,
    ops_norms,
    ops_passive,
    ops_pools,
    ops_products,
    ops_quantised,
    ops_recurrent,
    ops_reductions,
    ops_slicing,
    ops_weighted,
)

__all__ = [
    "ops_activations",
    "ops_arithmetic",
    "ops_aten",
    "ops_aten_several",
    "ops_casts",
    "ops_elementwise",
    "ops_layout",
    "ops_norms",
    "ops_passive",
    "ops_pools",
    "ops_products",
    "ops_quantised",
    "ops_recurrent",
    "ops_reductions",
    "ops_slicing",
    "ops_weighted",
]
