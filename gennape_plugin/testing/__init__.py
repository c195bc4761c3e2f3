"""Contract tests for plugins: a pytest plugin that third parties run on their own adapters.

In a plugin's ``tests/conftest.py``::

    pytest_plugins = ["gennape_plugin.testing"]

and in a test file, a subclass for each thing that the plugin brings::

    from gennape_plugin.testing import FamilyContract

    class TestMySpace(FamilyContract):
        @pytest.fixture
        def family(self):
            return MySpace()

        @pytest.fixture
        def invalid(self):
            return ["", "64-64", {"width": -1}]

The built-in families and members are held to these contracts too.
"""

import pytest

from gennape_plugin.estimator import Gennape

from .families import FamilyContract
from .graphs import renumbered
from .members import MemberContract
from .sources import SourceContract

__all__ = ["FamilyContract", "MemberContract", "SourceContract", "estimator", "renumbered"]


@pytest.fixture(scope="session")
def estimator() -> Gennape:
    """The estimator with the shipped weights."""
    return Gennape.from_pretrained()
