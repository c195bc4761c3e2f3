"""Adapters between GENNAPE and the outside: tracers, network families and host libraries."""
