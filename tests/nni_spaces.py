"""Samples of NNI's search spaces, drawn as its strategies draw them."""

from typing import Any

import nni
from nni.mutable.exception import SampleValidationError
from nni.nas.space import ExecutableModelSpace
from numpy.random import RandomState

nni.silence_stdout()  # it logs at exit, when pytest has closed the stream


def drawn(space: ExecutableModelSpace, seed: int) -> Any:
    """A frozen space with a random sample; draws that break a constraint are repeated."""
    state = RandomState(seed)
    while True:
        try:
            return space.random({}, state)
        except SampleValidationError:
            continue
