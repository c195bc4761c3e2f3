"""The built-in members keep their contract.

Families do in ``tests/adapters/families/test_families.py``, sources in the tests of
``examples/gennape_plain``: not here, where checks of shapes draw from Python's generator.
"""

import copy

import pytest
from gennape_plugin.core.members import Member

from gennape_plugin import Gennape
from gennape_plugin.testing import MemberContract, estimator

__all__ = ["estimator"]  # a fixture of the contract


class TestMembers(MemberContract):
    @pytest.fixture(params=["cl+fcm+t", "cl+pairwise", "segments", "kgnn"])
    def member(self, request: pytest.FixtureRequest, estimator: Gennape) -> Member:
        member = copy.deepcopy(estimator.model.members[request.param])
        assert isinstance(member, Member)
        return member
