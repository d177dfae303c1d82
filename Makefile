# An activated conda environment of the course is used as it is; everywhere else the course has its own .venv.
ENV := $(if $(filter imnetlib,$(CONDA_DEFAULT_ENV)),$(CONDA_PREFIX),.venv)
BIN := $(ENV)/bin
PROCESSES := -n auto --maxprocesses 4
PEERS := build/peers
# make run ENGINE=torch: on PyTorch, which comes into the environment beside the locks.
export ENGINE

.PHONY: help env env-dev run test test-torch test-browser test-long lint lab notebooks site bench bench-quick \
  bench-env peers lock data

help:
	@echo "make run        run every chapter on the sample, into build/; with ENGINE=torch on PyTorch"
	@echo "make lab        open the course in JupyterLab, in copies of your own"
	@echo "make site       build the reading site, static pages, into build/site"
	@echo "make test       check style and types, run the tests"
	@echo "make test-torch install PyTorch, run the tests that it takes part in"
	@echo "make test-browser  try the site and JupyterLab in Chromium (Debian: apt-get install chromium)"
	@echo "make test-long  the tests, the long kill and fuzz loops, and both commands on a bare Debian"
	@echo "make notebooks  run every chapter and store its outputs; measured times only with MEASURE=1"
	@echo "make bench-env  make an environment that has all peers, in build/ (9 GB); make bench then times them too"
	@echo "make bench      time the library beside its peers, half an hour, into data/benchmarks"
	@echo "make bench-quick  the same at a glance, 3 minutes, into build/benchmarks"
	@echo "make peers      hold it against DALI, torchvision and timm, in the environment of make bench-env"
	@echo "make data       rebuild data/ from the package registries"
	@echo "make lock       choose versions again: rewrites the locks (needs uv)"
	@echo "Each makes the environment first if there is none. Is it sound? $(BIN)/imnet doctor"

env:
	@bash tools/make_env.sh $(ENV)

env-dev:
	@bash tools/make_env.sh $(ENV) requirements-dev.lock

run: env
	@$(BIN)/imnet run $(if $(ENGINE),-p engine $(ENGINE))

lab: env
	@$(BIN)/imnet refresh --missing
	@JUPYTER_CONFIG_PATH=tools/jupyter$${JUPYTER_CONFIG_PATH:+:$$JUPYTER_CONFIG_PATH} \
	  $(BIN)/jupyter lab --notebook-dir=. build/course/00_start_here.ipynb

site:
	@bash tools/make_env.sh $(ENV) requirements-site.lock
	@$(BIN)/python tools/build_site.py
	@echo "The site is in build/site: open index.html there, or serve the folder from any host."

lint: env-dev
	@$(BIN)/ruff check --quiet .
	@$(BIN)/ruff format --check --quiet .
	@$(BIN)/mypy --no-error-summary

test: lint
	@$(BIN)/python -m pytest $(PROCESSES) --cov --cov-report= -m "not slow"
	@echo "coverage: $$($(BIN)/coverage report --format=total) % of the lines of imnetlib"

test-torch:
	@$(MAKE) --no-print-directory env-dev ENGINE=torch
	@$(BIN)/python -m pytest $(PROCESSES) -m "not slow" tests/engines tests/course/test_published.py \
	  tests/cli/test_explaining.py tests/test_guides.py $(wildcard tests/chapters/test_chapter_10.py)

test-browser: env-dev site
	@$(BIN)/python -m pytest $(PROCESSES) tests/browser/check_*.py

test-long: lint
	@$(BIN)/python -m pytest $(PROCESSES)
	@$(MAKE) --no-print-directory test-torch
	@tools/check_without_mxnet.sh
	@tools/check_bare.sh bookworm
	@tools/check_bare.sh trixie

notebooks: env
	@$(BIN)/imnet run --store $(if $(MEASURE),--measure)

bench: env-dev
	@$(BIN)/python tests/benchmarks/run_all.py --to data/benchmarks; failed=$$?; \
	  $(BIN)/python tools/measured_tables.py; exit $$failed

bench-quick: env-dev
	@$(BIN)/python tests/benchmarks/run_all.py --quick --to build/benchmarks

bench-env:
	@bash tools/make_peers_env.sh $(PEERS)

peers: bench-env
	@$(PEERS)/bin/python -m pytest tests/peers/check_*.py

data: env-dev
	@$(BIN)/python tools/build_data.py

lock:
	@bash tools/lock.sh --upgrade
