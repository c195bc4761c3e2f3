"""Collections of published networks by name, untrained, each with example inputs."""

from .catalogue import SOURCES, Catalogue, Sample, catalogue_of

__all__ = ["SOURCES", "Catalogue", "Sample", "catalogue_of"]
