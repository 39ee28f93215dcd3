# One entry for every task. `make demo` and `make test` set everything up by themselves.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
# One thread a process: results do not depend on it, and two workers do not fight over two cores.
export OMP_NUM_THREADS ?= 1

.PHONY: demo test tested test-long random coverage uncompiled warm warm-learners fuzz lint mutants bench frameworks results docs clean

# Python compiles a module when it is first imported: to compile all 14,000 files at installation takes a minute.
PIP := $(BIN)/pip install --quiet --disable-pip-version-check --no-compile -c constraints.txt

# Stale when a file that says what to install is newer than the stamp.
$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "bimhw needs Python 3.11 or newer; set PYTHON=...")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(PIP) torch
	$(PIP) -e '.[brian2,nir,tasks,search,dask,trace,dev]' --config-settings editable_mode=compat
	touch $(STAMP)

demo: $(STAMP)
	$(BIN)/bimhw demo

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# Beside the linters, kernels are compiled once, and not by each worker.
test: $(STAMP)
	$(MAKE) --no-print-directory -j 3 lint tested

tested: warm warm-learners
	$(BIN)/python -m pytest -m 'not long' -n auto --dist loadfile

# Files, and tests within them, in the order of a seed, which is printed: `make random SEED=7 ONLY=tests/mapping`.
SEED ?= $(shell date +%s)
random: $(STAMP)
	$(BIN)/python -m pytest -m 'not long' --random-order --random-order-seed=$(SEED) $(ONLY)

# Lines that Python runs, in processes of their own too, but not the bodies that numba compiles.
coverage: $(STAMP)
	$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest -m 'not long' -n auto --dist loadfile $(ONLY)
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report --fail-under=92

# Bodies of kernels as plain Python, on small inputs; integers wrap there with a warning.
UNCOMPILED := $(addprefix tests/,mapping/test_kernels.py $(addprefix simulator/,base/test_random.py neurons/test_neurons.py \
  function/test_kernels.py function/test_saturation.py program/test_axons.py program/test_faults.py events/test_asynchronous.py \
  timing/test_bodies.py \
  plasticity/test_forms.py plasticity/test_products.py plasticity/test_update_parts.py events/machines/test_n1_core.py events/machines/test_n1_router.py))
uncompiled: $(STAMP)
	NUMBA_DISABLE_JIT=1 $(BIN)/python -m pytest -m 'not long' -W 'ignore:overflow encountered:RuntimeWarning' $(UNCOMPILED)

warm: $(STAMP)
	$(BIN)/python -m tests.warm

warm-learners: $(STAMP)
	$(BIN)/python -m tests.warm_learners

test-long: $(STAMP)
	$(BIN)/python -m pytest -m long

# Damaged files through every reader. FUZZ="--cases 50000 --seed 1"; failures are kept below .fuzz.
fuzz: $(STAMP)
	$(BIN)/python -m tests.fuzz $(FUZZ)

mutants: $(STAMP)
	$(BIN)/python tests/mutants.py

bench: $(STAMP)
	$(BIN)/python -m benchmarks

# An environment of its own for other frameworks, beside the project's torch; random modules of each are compared.
FRAMEWORKS := .venv-frameworks
$(FRAMEWORKS)/.installed: $(STAMP)
	$(PYTHON) -m venv $(FRAMEWORKS)
	$(BIN)/python -c 'import site; print(site.getsitepackages()[0])' > $$($(FRAMEWORKS)/bin/python -c 'import site; print(site.getsitepackages()[0])')/project.pth
	$(FRAMEWORKS)/bin/pip install --quiet --no-deps snntorch==1.0.0 norse==1.1.0 spikingjelly==2.0.0 sinabs==3.1.3 rockpool==3.1.0 nirtorch==2.6 loguru pbr
	touch $(FRAMEWORKS)/.installed

frameworks: $(FRAMEWORKS)/.installed
	$(FRAMEWORKS)/bin/python -m benchmarks.frameworks.modules
	MODULE_FRAMEWORKS_PYTHON=$(CURDIR)/$(FRAMEWORKS)/bin/python NIR_FRAMEWORKS_PYTHON=$(CURDIR)/$(FRAMEWORKS)/bin/python $(BIN)/python -m pytest -q -m long tests/bimhw/frontends

# Goes on where it was interrupted. RESULTS="--data fsdd=PATH --minutes 30" and so on.
results: $(STAMP)
	$(BIN)/bimhw results $(RESULTS)

# The site, in site/; a warning is an error. The packages of the site are installed on first use.
docs: $(STAMP)
	$(PIP) -e '.[docs]' --config-settings editable_mode=compat
	$(BIN)/mkdocs build --strict --quiet

clean:
	rm -rf $(VENV) build dist site *.egg-info .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
