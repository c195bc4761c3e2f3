"""gennape-plain keeps the contracts of gennape_plugin.testing."""

import pytest
from gennape_plain.family import Plain
from gennape_plain.member import Depth

from gennape_plugin import Gennape, families
from gennape_plugin.cli import main
from gennape_plugin.hooks import Example
from gennape_plugin.testing import FamilyContract, MemberContract, SourceContract


class TestPlain(FamilyContract):
    @pytest.fixture
    def family(self):
        return Plain()

    @pytest.fixture
    def invalid(self):
        return ["", "M", "16 x", "0", "99999", "M " * 6 + "16", "16 " * 65]


class TestDepth(MemberContract):
    @pytest.fixture
    def member(self):
        return Depth()


class TestEncodings(SourceContract):
    """Encodings are read by the package's own plugin, which knows the families of all."""

    @pytest.fixture
    def plugin(self):
        return families

    @pytest.fixture
    def architectures(self):
        return [("plain:16 M 32", Example())]

    @pytest.fixture
    def references(self):
        return ["plain:16 M 32"]

    @pytest.fixture
    def broken(self):
        return [("plain:16 x", Example())]


def test_deeper_networks_score_higher_with_it(estimator: Gennape) -> None:
    deep, flat = (Plain().graph(Plain().parse(text)) for text in ("16 16 16 16 16", "16"))
    made = estimator.with_member("depth", Depth())
    assert made.score(deep).members["depth"] > made.score(flat).members["depth"]


def test_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plain-sample", "--count", "3"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 4
    assert main(["score", "plain:16 M 32"]) == 0
    assert capsys.readouterr().out.startswith("16 M 32")
