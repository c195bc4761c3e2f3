import json
import os
import shutil
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest
import torch
from gennape_plugin.core.graph_json import load_graph, save_graph
from safetensors.torch import load, save
from small_models import CARD, chain, labels_of, write_rows

from gennape_plugin import Gennape
from gennape_plugin.cli import COMMANDS, main

ROOT = Path(__file__).resolve().parents[2]
RESNETS = ROOT / "examples" / "resnet_cifar.py"
NETS = """
import torch
from torch import nn


def good():
    return nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Flatten(), nn.LazyLinear(10))


def plain():
    return nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())


class Raises(nn.Module):
    def forward(self, x):
        raise ValueError("first line\\nsecond line")


class Fourier(nn.Module):
    def forward(self, x):
        return torch.fft.fft(x).real


def text():
    return "not a module"


number = 7
"""


@pytest.fixture
def nets(tmp_path):
    path = tmp_path / "nets.py"
    path.write_text(NETS)
    return path


@pytest.fixture
def cells(tmp_path):
    arch = "|{0}~0|+|{1}~0|skip_connect~1|+|skip_connect~0|{0}~1|{1}~2|"
    ops = ["nor_conv_3x3", "nor_conv_1x1", "avg_pool_3x3"]
    rows = [
        {"arch_str": arch.format(a, b), "c10_test_acc_200ep": 80.0 + 3 * i + j}
        for i, a in enumerate(ops)
        for j, b in enumerate(ops)
    ]
    return write_rows(tmp_path / "nb201.jsonl", rows)


def run(capsys, *argv):
    """Exit code 0 and clean standard error; returns what was printed."""
    capsys.readouterr()
    assert main([str(word) for word in argv]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    return out


def refused(capsys, *argv):
    """Exit code 2, nothing printed, one line on standard error; returns that line."""
    capsys.readouterr()
    assert main([str(word) for word in argv]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.endswith("\n")
    assert err.count("\n") == 1
    assert err.startswith(f"gennape {argv[0]}: ")
    assert "Traceback" not in err
    return err


class TestScore:
    def test_text(self, capsys, nets, weights):
        out = run(capsys, "score", f"{nets}:plain", "--input", "3x8x8", "--weights", weights)
        lines = out.splitlines()
        assert lines[0] == "plain"
        rows = [line.split()[0] for line in lines[1:] if not line.lstrip().startswith("(")]
        assert rows == ["score", "accuracy", "distance", "cost", "members"]
        assert f"            ({CARD['accuracy']})" in lines

    def test_json(self, capsys, nets, weights):
        out = run(
            capsys, "score", f"{nets}:plain", "--input", "3x8x8", "--weights", weights, "--json"
        )
        found = json.loads(out)
        from torch import nn

        net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
        expected = Gennape.from_pretrained(weights).score(net, input_shape=(3, 8, 8))
        assert found == {**expected.to_dict(), "name": "plain"}

    def test_a_graph_file(self, capsys, tmp_path, weights):
        save_graph(chain(3), tmp_path / "mine.json")
        out = run(capsys, "score", tmp_path / "mine.json", "--weights", weights, "--json")
        assert json.loads(out)["name"] == "mine"
        assert json.loads(out)["graph_hash"] == chain(3).hash

    def test_shipped_weights_score_a_resnet(self, capsys):
        out = run(capsys, "score", f"{RESNETS}:resnet20", "--input", "3x32x32", "--json")
        found = json.loads(out)
        assert found["params"] == 269_722
        assert found["distance"] > 1
        assert found["notes"]

    def test_shipped_weights_know_a_nasbench101_network(self, capsys):
        cells = Path(RESNETS).with_name("nasbench_cells.py")
        out = run(capsys, "score", f"{cells}:resnet_cell", "--input", "3x32x32", "--json")
        found = json.loads(out)
        assert found["distance"] <= 1
        assert found["notes"] == []
        assert 92 < found["accuracy"] < 95  # the best cells of the benchmark reach 94.3


class TestRank:
    def test_table(self, capsys, nets, weights, tmp_path):
        save_graph(chain(3), tmp_path / "drawn.json")
        names = [f"{nets}:plain", tmp_path / "drawn.json", f"{RESNETS}:resnet20"]
        out = run(capsys, "rank", *names, "--input", "3x8x8", "--weights", weights)
        lines = out.splitlines()
        assert lines[0].split()[:3] == ["rank", "network", "score"]
        assert sorted(line.split()[1] for line in lines[1:4]) == ["drawn", "plain", "resnet20"]
        scores = [float(line.split()[2]) for line in lines[1:4]]
        assert scores == sorted(scores, reverse=True)
        assert [line.split()[0] for line in lines[1:4]] == ["1", "2", "3"]

    def test_json(self, capsys, weights):
        names = [f"{RESNETS}:{name}" for name in ("resnet20", "resnet20_wide")]
        out = run(capsys, "rank", *names, "--input", "3x32x32", "--weights", weights, "--json")
        found = json.loads(out)
        assert sorted(p["name"] for p in found) == ["resnet20", "resnet20_wide"]
        assert found[0]["score"] >= found[1]["score"]


class TestTrace:
    def test_summary(self, capsys, nets):
        lines = run(capsys, "trace", f"{nets}:plain", "--input", "3x8x8").splitlines()
        assert lines[0].startswith("ComputeGraph('plain', ")
        assert lines[1].startswith("hash ")
        assert lines[2].startswith("paper's view: ")
        assert "conv 1" in lines[3]

    def test_nodes(self, capsys, tmp_path):
        save_graph(chain(2), tmp_path / "g.json")
        lines = run(capsys, "trace", tmp_path / "g.json", "--nodes").splitlines()
        assert [int(line.split()[0]) for line in lines[4:]] == list(range(len(chain(2))))

    def test_file(self, capsys, nets, tmp_path):
        target = tmp_path / "out.json"
        out = run(capsys, "trace", f"{nets}:plain", "--input", "3x8x8", "--json", target)
        assert out.endswith(f"written to {target}\n")
        graph = load_graph(target)
        assert graph.name == "plain"
        assert [node.op for node in graph.nodes][:3] == ["input", "conv", "relu"]

    def test_unknown_operations_are_named(self, capsys, nets):
        out = run(capsys, "trace", f"{nets}:Fourier", "--input", "3x8x8")
        assert "outside the vocabulary: " in out
        assert "fft" in out


class TestInfo:
    def test_versions(self, capsys):
        out = run(capsys, "info")
        assert f"gennape-plugin {version('gennape-plugin')}" in out
        assert f"torch {version('torch')}" in out
        assert "cuda device: " in out

    def test_card(self, capsys, weights):
        card = json.loads(run(capsys, "info", "--card", "--weights", weights))
        assert card["name"] == CARD["name"]
        assert set(card["model"]["members"]) == {"cl", "cl+fcm+t", "kgnn", "segments", "flops"}

    def test_shipped_weights_are_listed(self, capsys):
        out = run(capsys, "info")
        assert "weights gennape-nb101\n" in out
        assert "SRCC" in out


SETTINGS = {
    "encoder": {"width": 32, "layers": 1, "heads": 2, "hidden": 8},
    "contrastive": {"epochs": 5, "batch_size": 32, "eigenvalues": 4},
    "heads": {"epochs": 1, "hidden": 8, "layers": 1},
    "pairwise": {"epochs": 1, "hidden": 8, "layers": 1},
    "grid": {"cl+fcm": [[3, 2.0]], "cl+fcm+t": [[3, 2.0]]},
    "ranker": {"skeletons": 100, "trees": 10, "leaves": 4},
}


class TestPretrain:
    @pytest.fixture
    def config(self, tmp_path):
        path = tmp_path / "settings.json"
        path.write_text(json.dumps(SETTINGS))
        return path

    def test_a_run_and_its_settings(self, capsys, tmp_path, labels, config):
        folder = tmp_path / "run"
        argv = ["pretrain", "--labels", labels, "--out", folder, "--config", config]
        argv += ["--seed", 3, "--epochs", 1, "--baselines"]
        out = run(capsys, *argv)
        assert "contrastive 1/1  contrastive " in out
        assert f"weights and card in {folder}" in out
        card = Gennape.from_pretrained(folder).card
        settings = card["config"]
        assert (settings["seed"], settings["contrastive"]["epochs"]) == (3, 1)
        assert (settings["baselines"], settings["heads"]["hidden"]) == ([], 8)
        assert settings["extra"] is False
        # The run's own settings file resumes it; others are refused.
        again = ["pretrain", "--labels", labels, "--out", folder]
        assert "contrastive 1/1" not in run(capsys, *again, "--config", folder / "config.json")
        assert "other settings" in refused(capsys, *again, "--config", config)

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "[]",
            "{",
            '{"sead": 1}',
            '{"seed": "one"}',
            '{"seed": -1}',
            '{"seed": true}',
            '{"contrastive": {"epochs": "many"}}',
            '{"contrastive": {"learning_rate": NaN}}',
            '{"heads": 3}',
            '{"encoder": {"depth": 3}}',
            '{"grid": {}}',
            '{"grid": 5}',
            '{"grid": {"cl+fcm": [[0, 2]], "cl+fcm+t": [[5, 2]]}}',
            '{"grid": {"cl+fcm": [[5, 1]], "cl+fcm+t": [[5, 2]]}}',
            '{"grid": {"cl+fcm": [["many", 2]], "cl+fcm+t": [[5, 2]]}}',
            '{"baselines": ["gat"]}',
            '{"choose_on": "test"}',
            '{"seed": ' + "9" * 5000 + "}",
            "[" * 100_000,
        ],
    )
    def test_bad_settings(self, capsys, tmp_path, labels, text):
        path = tmp_path / "bad.json"
        path.write_text(text)
        argv = ["pretrain", "--labels", labels, "--out", tmp_path / "run", "--config", path]
        assert str(path) in refused(capsys, *argv)
        assert not (tmp_path / "run").exists()

    def test_missing_files(self, capsys, tmp_path, labels):
        argv = ["pretrain", "--out", tmp_path / "run", "--labels"]
        assert "none.jsonl cannot be read" in refused(capsys, *argv, tmp_path / "none.jsonl")
        error = refused(capsys, *argv, labels, "--config", tmp_path / "none.json")
        assert "none.json does not hold settings" in error
        assert "choose from kgnn" in refused(capsys, *argv, labels, "--baselines", "gat")
        assert "cannot be used here" in refused(capsys, *argv, labels, "--device", "toaster")
        assert not (tmp_path / "run").exists()

    def test_a_file_in_the_folders_place(self, capsys, tmp_path, labels):
        (tmp_path / "run").write_text("")
        error = refused(capsys, "pretrain", "--labels", labels, "--out", tmp_path / "run")
        assert "run" in error


class TestEvaluate:
    def argv(self, cells, weights, *more):
        return ["evaluate", "--family", "nasbench201", "--labels", cells, "--weights", weights,
                "--resamples", 10, *more]  # fmt: skip

    def test_table_and_file(self, capsys, cells, weights, tmp_path):
        target = tmp_path / "results.json"
        out = run(capsys, *self.argv(cells, weights, "--json", target))
        lines = out.splitlines()
        assert lines[0].startswith("nasbench201, c10_test_acc_200ep, no-none: 9 architectures")
        assert lines[-1] == f"written to {target}"
        results = json.loads(target.read_text())["results"]
        assert [line[:16].strip() for line in lines[2:-1]] == list(results)
        assert f"{results['FLOPs']['srcc']['mean']:.4f} [" in out

    def test_several_weights(self, capsys, cells, weights):
        out = run(capsys, *self.argv(cells, weights, "--weights", weights, weights))
        assert "2 model(s); mean +- sd over models" in out

    def test_101(self, capsys, labels, weights):
        out = run(capsys, "evaluate", "--family", "nasbench101", "--labels", labels, "--weights",
                  weights, "--subset", "validation_1", "--resamples", 5)  # fmt: skip
        assert "test_acc, validation_1: 12 architectures" in out

    @pytest.mark.parametrize(
        ("more", "message"),
        [
            (["--family", "nasbench999"], "unknown family 'nasbench999': choose from"),
            (["--target", "acc"], "no 'acc'"),
            (["--subset", "best"], "choose from no-none, all"),
            (["--variant", "mine"], "choose from benchmark"),
            (["--resamples", 0], "resamples is 0"),
            (["--weights", "none"], "no weights 'none'"),
        ],
    )
    def test_bad_options(self, capsys, cells, weights, tmp_path, more, message):
        target = tmp_path / "results.json"
        error = refused(capsys, *self.argv(cells, weights, "--json", target), *more)
        assert message in error
        assert not target.exists()

    @pytest.mark.parametrize(
        ("line", "message"),
        [
            ('{"arch_str": "|conv~0|"}', "not a NAS-Bench-201 string"),
            ('{"arch_str": 7}', "not a NAS-Bench-201 cell"),
            ("{}", "not a NAS-Bench-201 cell"),
            ("[]", "one JSON object"),
            ("{", "not JSON"),
        ],
    )
    def test_malformed_cells(self, capsys, cells, weights, tmp_path, line, message):
        with cells.open("a") as file:
            file.write(line + "\n")
        target = tmp_path / "results.json"
        error = refused(capsys, *self.argv(cells, weights, "--json", target))
        assert "line 10: " in error
        assert message in error
        assert not target.exists()

    def test_malformed_cells_of_101(self, capsys, weights, tmp_path):
        rows = labels_of(60)
        rows[3]["matrix"][1][0] = 1
        path = write_rows(tmp_path / "labels.jsonl", rows)
        error = refused(capsys, "evaluate", "--family", "nasbench101", "--labels", path,
                        "--weights", weights)  # fmt: skip
        assert "line 4: matrix[1][0] is 1" in error

    def test_missing_file(self, capsys, weights, tmp_path):
        assert "cannot be read" in refused(capsys, *self.argv(tmp_path / "none.jsonl", weights))

    def test_a_folder_that_cannot_be_written(self, capsys, cells, weights, tmp_path):
        capsys.readouterr()
        argv = self.argv(cells, weights, "--json", tmp_path / "none" / "results.json")
        assert main([str(word) for word in argv]) == 2
        assert capsys.readouterr().err.startswith("gennape evaluate: ")


BAD_NETWORKS = [
    ("number", "3x8x8", "number is a int"),
    ("text", "3x8x8", "not an architecture"),
    ("missing", "3x8x8", "has no 'missing': it defines Fourier, Raises, good, plain, text"),
    ("plain", "4x8x8", "forward of"),
    ("plain", "3x8y8", "--input '3x8y8'"),
    ("plain", None, "--input 3x32x32"),
    ("Raises", "3x8x8", "ValueError: first line"),
]


@pytest.mark.parametrize("command", ["score", "rank", "trace"])
@pytest.mark.parametrize(("name", "shape", "message"), BAD_NETWORKS)
def test_bad_networks(capsys, nets, weights, tmp_path, command, name, shape, message):
    target = tmp_path / "out.json"
    argv = [command, f"{nets}:{name}", *([] if shape is None else ["--input", shape])]
    argv += ["--json", target] if command == "trace" else ["--weights", weights]
    assert message in refused(capsys, *argv)
    assert not target.exists()


@pytest.mark.parametrize("command", ["score", "rank", "trace"])
def test_missing_networks(capsys, tmp_path, command):
    assert "does not exist" in refused(capsys, command, tmp_path / "none.py:net")
    assert "none.json" in refused(capsys, command, tmp_path / "none.json")
    (tmp_path / "damaged.json").write_text('{"format": "gennape-graph"}')
    assert "damaged.json" in refused(capsys, command, tmp_path / "damaged.json")


@pytest.mark.parametrize("command", ["score", "rank"])
def test_a_network_without_known_operations(capsys, nets, weights, command):
    argv = [command, f"{nets}:Fourier", "--input", "3x8x8", "--weights", weights]
    assert "holds no operation that the estimator knows" in refused(capsys, *argv)


@pytest.mark.parametrize("command", ["score", "rank", "evaluate", "info"])
def test_weights_with_nan(capsys, nets, cells, weights, tmp_path, command):
    import hashlib

    folder = shutil.copytree(weights, tmp_path / "nan")
    tensors = load((folder / "model.safetensors").read_bytes())
    tensors["space.mean"][3] = torch.nan
    data = save(tensors)
    (folder / "model.safetensors").write_bytes(data)
    card = json.loads((folder / "card.json").read_text())
    card["sha256"] = hashlib.sha256(data).hexdigest()
    (folder / "card.json").write_text(json.dumps(card))
    argv = {
        "score": ["score", f"{nets}:plain", "--input", "3x8x8"],
        "rank": ["rank", f"{nets}:plain", "--input", "3x8x8"],
        "evaluate": ["evaluate", "--family", "nasbench201", "--labels", cells],
        "info": ["info", "--card"],
    }[command]
    assert "space.mean holds NaN" in refused(capsys, *argv, "--weights", folder)


@pytest.mark.parametrize("argv", [[], ["predict"], ["score"], ["evaluate"], ["score", "a", "--x"]])
def test_usage(capsys, argv):
    with pytest.raises(SystemExit) as exit_:
        main(argv)
    assert exit_.value.code == 2
    assert "usage: gennape" in capsys.readouterr().err


@pytest.mark.parametrize("command", [None, *COMMANDS])
def test_help(capsys, command):
    with pytest.raises(SystemExit) as exit_:
        main([*([] if command is None else [command]), "--help"])
    assert exit_.value.code == 0
    out = capsys.readouterr().out
    assert f"usage: gennape {command or ''}".strip() in out
    assert all(name in out for name in (COMMANDS if command is None else ()))


def process(*argv, **options):
    return subprocess.run(
        [str(word) for word in argv],
        stderr=subprocess.PIPE,
        text=True,
        timeout=120,
        check=False,
        **{"stdout": subprocess.PIPE, **options},
    )


class TestProcess:
    def test_parsing_imports_nothing_heavy(self, tmp_path):
        code = (
            "import sys; from gennape_plugin.cli import parser; parser(); "
            "print({'torch', 'numpy', 'scipy', 'torch_geometric'} & set(sys.modules))"
        )
        done = process(sys.executable, "-c", code, cwd=tmp_path)
        assert (done.stdout, done.stderr, done.returncode) == ("set()\n", "", 0)

    def test_the_installed_command(self, nets, weights, tmp_path):
        command = Path(sys.executable).with_name("gennape")
        options = ["--input", "3x8x8", "--weights", weights, "--json"]
        done = process(command, "score", f"{nets}:plain", *options, cwd=tmp_path)
        assert (done.returncode, done.stderr) == (0, "")
        assert json.loads(done.stdout)["name"] == "plain"

    def test_a_closed_pipe(self, tmp_path):
        """``gennape trace ... | head -1`` ends without a word."""
        save_graph(chain(400), tmp_path / "g.json")
        reader, writer = os.pipe()
        os.close(reader)
        code = "import sys; from gennape_plugin.cli import main; sys.exit(main(sys.argv[1:]))"
        argv = ["trace", tmp_path / "g.json", "--nodes"]
        done = process(sys.executable, "-c", code, *argv, stdout=writer)
        os.close(writer)
        assert (done.returncode, done.stderr) == (0, "")


class TestNumbersOutOfRange:
    """Refused at once, not after hours."""

    @pytest.mark.parametrize("option", [("--seed", -1), ("--seed", 1 << 33), ("--epochs", -3)])
    def test_pretrain(self, capsys, tmp_path, labels, option):
        argv = ["pretrain", "--labels", labels, "--out", tmp_path / "run", *option]
        assert str(option[1]) in refused(capsys, *argv)
        assert not (tmp_path / "run").exists()

    @pytest.mark.parametrize("option", [("--samples", -1), ("--samples", 4), ("--seed", -1)])
    def test_finetune(self, capsys, tmp_path, labels, option):
        argv = ["finetune", "--family", "nasbench101", "--labels", labels, "--column", "test_acc"]
        argv += ["--fractions", "--out", tmp_path / "tuned", *option]
        assert str(option[1]) in refused(capsys, *argv)
        assert not (tmp_path / "tuned").exists()

    def test_benchmark(self, capsys, tmp_path):
        argv = ["benchmark", "--data", tmp_path, "--out", tmp_path / "out", "--seeds", 0]
        assert "--seeds 0" in refused(capsys, *argv)
        assert not (tmp_path / "out").exists()


def test_lists_are_encodings_too(capsys):
    cell = json.dumps(["nor_conv_3x3"] * 6)
    assert "conv 97" in run(capsys, "trace", f"nasbench201:{cell}")


def test_interrupted(capsys, monkeypatch):
    def stop(args):
        raise KeyboardInterrupt

    monkeypatch.setattr("gennape_plugin.cli.info.run", stop)
    assert main(["info"]) == 130
    assert capsys.readouterr().err == "\ngennape info: stopped\n"
