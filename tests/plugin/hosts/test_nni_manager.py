"""NNI's default engine: a manager process, and one process a trial."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not Path("/proc").is_dir(), reason="left processes are found in /proc"),
]

PROGRAM = """
import json, sys
import nni.experiment.launcher
import nni.nas.hub.pytorch as hub
import torch
from nni.nas.experiment import NasExperiment
from nni.nas.experiment.config import NasExperimentConfig
from nni.nas.nn.pytorch import LayerChoice, ModelSpace
from nni.nas.strategy import Random
from torch import nn
from gennape_plugin.hosts.nni import GennapeEvaluator

class Own(ModelSpace):  # defined in __main__: NNI sends it along
    def __init__(self):
        super().__init__()
        self.conv = LayerChoice([nn.Conv2d(3, 4, 3), nn.Conv2d(3, 4, 1)], label="conv")

    def forward(self, x):
        return torch.relu(self.conv(x)).mean((2, 3))

# NNI waits four seconds for its manager to start: too few on a busy machine.
nni.experiment.launcher._check_rest_server.__defaults__ = (60, None)
kind, port, weights, folder = sys.argv[1:]
space = Own() if kind == "own" else hub.NasBench201(stem_out_channels=4, num_modules_per_stack=1)
evaluator = GennapeEvaluator(weights, input_shape=(3, 32, 32))
strategy = Random(seed=0)
config = NasExperimentConfig("ts", "simplified", "local")
config.max_trial_number = 2
config.trial_concurrency = 1
config.trial_gpu_number = 0
config.experiment_working_directory = folder
experiment = NasExperiment(space, evaluator, strategy, config=config)
experiment.run(port=int(port))
found = [[model.sample, model.status, model.metric] for model in strategy.list_models(sort=False)]
here = [evaluator.evaluate(model) for model in strategy.list_models(sort=False)] if found else []
experiment.stop()
print("found " + json.dumps([found, here]))
"""


def _processes_with(mark: str) -> Iterator[int]:
    """Processes whose environment has a text."""
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and mark.encode() in (entry / "environ").read_bytes():
                yield int(entry.name)
        except OSError:
            continue  # gone, or not ours


@pytest.mark.parametrize("kind", ["hub", "own"])
def test_trials_in_processes_of_their_own(kind: str, weights: Path, tmp_path: Path) -> None:
    program = tmp_path / "search.py"
    program.write_text(PROGRAM)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, str(program), kind, str(port), str(weights), str(tmp_path / "nni")]
    mark = f"GENNAPE_TEST_RUN={tmp_path}"
    done = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "GENNAPE_TEST_RUN": str(tmp_path), "HOME": str(tmp_path)},
        start_new_session=True,
    )
    try:
        output, _ = done.communicate(timeout=500)
    finally:
        # The manager outlives a program that was stopped.
        for process in _processes_with(mark):
            if process != os.getpid():
                os.kill(process, signal.SIGKILL)
    lines = [line for line in output.splitlines() if line.startswith("found ")]
    logs = "\n".join(path.read_text()[-1500:] for path in tmp_path.rglob("trial.stderr"))
    assert len(lines) == 1, output[-3000:]
    models, here = json.loads(lines[0].removeprefix("found "))
    assert [status for _, status, _ in models] == ["trained"] * 2, logs
    assert [metric for _, _, metric in models] == pytest.approx(here, abs=1e-5)
