# Every target sets up its own packages, in a virtual environment for each Python version.
PYTHON ?= python3
VERSION := $(shell $(PYTHON) -c 'import sys; print("%d.%d" % sys.version_info[:2])')
ifeq ($(VERSION),)
$(error $(PYTHON) does not run: name another with PYTHON=python3.12)
endif
VENV := .venv/$(VERSION)
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip -qq --disable-pip-version-check

.DEFAULT_GOAL := help
.PHONY: help demo test faults mutants properties lint docs bench parity lock

help:  ## show this help
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 8

demo: $(VENV)/.stamp-demo  ## train LeNet-5 on real digits, and print its accuracy
	$(BIN)/python experiments/lenet.py

test: $(VENV)/.stamp-test  ## run all tests
	$(BIN)/python -m pytest -q -n 2 --dist worksteal

faults: $(VENV)/.stamp-test  ## end runs at 100 random moments, damage files, fill disks, and count
	FAULTS=100 $(BIN)/python -m pytest -q -s -p no:hypothesispytest tests/faults

mutants: $(VENV)/.stamp-test  ## plant known bugs, and count those that the property kit finds
	$(BIN)/python tests/mutants/report.py

properties: $(VENV)/.stamp-test  ## initialize, run and differentiate 1,000 random networks
	NETWORKS=1000 $(BIN)/python -m pytest -q -s tests/testing/test_strategies.py -k random_networks

lint: $(VENV)/.stamp-test  ## check style, types and the direction of imports
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyrefly check --python-interpreter-path $(BIN)/python
	$(BIN)/lint-imports

docs: $(VENV)/.stamp-docs  ## build the documentation into docs/_build/html
	$(BIN)/sphinx-build -q -W -b html docs docs/_build/html

bench: $(VENV)/.stamp-bench  ## measure jdl beside its peers
	$(BIN)/python benchmarks/overhead.py
	$(BIN)/python benchmarks/depth.py
	$(BIN)/python benchmarks/engine.py

parity: $(VENV)/.stamp-parity  ## compare every layer with PyTorch and Keras, and count the cases
	$(BIN)/python -m pytest -q -n 2 tests/parity/peers

lock:  ## pin all requirements anew (needs uv)
	rm -f requirements/*.txt
	$(LOCK) --extra dev -o requirements/dev.txt
	$(LOCK) -c requirements/dev.txt --extra plot -o requirements/demo.txt
	$(LOCK) -c requirements/dev.txt --extra test --extra lint -o requirements/test.txt
	$(LOCK) -c requirements/dev.txt --extra test --extra docs -o requirements/docs.txt
	$(LOCK) -c requirements/dev.txt --extra bench -o requirements/bench.txt
LOCK := uv pip compile pyproject.toml -q --universal --generate-hashes \
	--python-version 3.11 --no-header --no-annotate

# jdl itself is put on the path by a .pth file: an editable install would need a build, which
# pip cannot check against hashes. -qq hides pip's warnings on package locations, not its errors.
$(VENV)/.stamp-%: requirements/%.txt pyproject.toml | $(BIN)/python
	@echo "setting up $(VENV) from $<: a minute the first time"
	@$(PIP) install --require-hashes -r $<
	@$(BIN)/python -c 'import os, sysconfig; \
	open(os.path.join(sysconfig.get_path("purelib"), "jdl.pth"), "w").write(os.getcwd())'
	@touch $@

# Not pinned by hash: which build of torch pip finds differs from machine to machine.
$(VENV)/.stamp-parity: $(VENV)/.stamp-test
	$(PIP) install $$($(BIN)/python -c 'import tomllib; \
	print(*tomllib.load(open("pyproject.toml", "rb"))["project"]["optional-dependencies"]["parity"])')
	touch $@

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)
