# Everything runs from .venv, which `make install` fills; the other targets see to it themselves.
# PYTHON picks the interpreter, DEMO_ARGS the demo's networks, PYTEST_ARGS extra pytest options.
PYTHON ?= python3
VENV := .venv
PY := $(VENV)/bin/python
STAMP := $(VENV)/.installed
TREE := build/tree
PYTEST_ARGS ?=
DEMO_ARGS ?= $(addprefix examples/resnet_cifar.py:,resnet20 resnet56 resnet20_wide) \
	$(addprefix examples/nasbench_cells.py:,resnet_cell plain_cell pooling_cell) --input 3x32x32

export PIP_DISABLE_PIP_VERSION_CHECK := 1

.DEFAULT_GOAL := help
.PHONY: help venv install demo test test-slow test-zoo rl lint types bench zoo tree clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "%-10s %s\n", $$1, $$2 }' Makefile

$(PY):
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "gennape-plugin needs Python 3.11 or newer as '$(PYTHON)'; choose one: make PYTHON=python3.11 ..." >&2; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' || { \
		echo "$(PYTHON) lacks the venv module; install it (Debian: apt-get install python3-venv)" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

# New modules need no new install: the editable package points at the folders, not at their files.
$(STAMP): pyproject.toml constraints.txt | $(PY)
	$(PY) -m pip install --quiet --constraint constraints.txt --editable '.[nni,onnx,optuna,search,test,dev]'
	@touch $@

venv: $(PY) ## make .venv, empty

install: $(STAMP) ## install the package, editable, with everything the tests need

demo: $(STAMP) ## rank the example networks with the shipped weights, offline
	$(VENV)/bin/gennape info
	$(VENV)/bin/gennape rank $(DEMO_ARGS)

test: $(STAMP) ## the default tests
	$(PY) -m pytest -n 2 -m 'not slow' $(PYTEST_ARGS)

test-slow: $(STAMP) ## the tests marked slow
	$(PY) -m pytest -m slow $(PYTEST_ARGS) || test $$? -eq 5 # 5: none is marked

# mypy and import-linter read packages from folders and know nothing of setuptools' package-dir, so
# they get a tree of links laid out as the package is installed.
tree:
	@rm -rf $(TREE)
	@mkdir -p $(TREE)/gennape_plugin
	@ln -s $(addprefix ../../../,$(filter-out %/__pycache__,$(wildcard gennape_plugin/*)) core adapters) $(TREE)/gennape_plugin/

lint: $(STAMP) tree ## style, formatting and the import contracts
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	cd $(TREE) && ../../$(VENV)/bin/lint-imports ../../pyproject.toml --no-cache

types: $(STAMP) tree ## static types, strict
	cd $(TREE) && ../../$(PY) -m mypy --config-file ../../pyproject.toml --cache-dir ../../.mypy_cache

bench: $(STAMP) ## time the hot paths
	$(PY) benchmarks/bench_start.py
	$(PY) benchmarks/bench_capture.py
	$(PY) benchmarks/bench_memory.py
	$(PY) benchmarks/bench_scoring.py
	$(PY) benchmarks/bench_fcm.py
	$(PY) benchmarks/bench_mutation.py
	$(PY) benchmarks/bench_proxies.py --all

# Apart from the environment on purpose: the registry's torchvision is built against CUDA, does not
# load beside a CPU-only torch, and takes pytorch_lightning, which imports it when present, with it.
zoo: $(STAMP) ## fetch torchvision and timm into .venv/zoo, for the coverage benchmark
	$(PY) -m pip install --quiet --no-deps --upgrade --target $(VENV)/zoo --constraint constraints.txt \
		torchvision timm huggingface_hub httpx2 httpcore2 h11 anyio truststore pillow

rl: $(STAMP) ## fetch tianshou into .venv/rl, for NNI's PolicyBasedRL
	$(PY) -m pip install --quiet --no-deps --upgrade --target $(VENV)/rl --constraint constraints.txt \
		tianshou==0.5.1 gym gymnasium gym-notices farama-notifications cloudpickle numba llvmlite \
		h5py pettingzoo tensorboard tensorboard-data-server markdown werkzeug absl-py grpcio protobuf

test-zoo: zoo ## the tests that need torchvision and timm
	PYTHONPATH=$(VENV)/zoo $(PY) -m pytest tests/adapters/torch/test_torchvision.py \
		tests/adapters/torch/test_zoo_untouched.py tests/core/rebuild/test_zoo_rebuilt.py $(PYTEST_ARGS)

clean: ## remove .venv, builds and caches
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis .benchmarks
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
