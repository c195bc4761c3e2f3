"""GENNAPE as a library: rank neural networks without training them."""
