# Everything here needs Python 3.10 or newer and make.
PYTHON ?= python3
VENV := .venv
LOWEST := .venv-lowest
COLAB := .venv-colab

# Each process runs whole files, on one core; conftest.py says which run together and which come first.
WORKERS ?= 2
PYTEST := -m pytest -n $(WORKERS) --ignore=tests/browser
# What the tests need is installed below, so a test that lacks something fails (conftest.py).
export MAMMO_NO_SKIPS := 1

# An upload is one message; tornado drops what is larger than 10 MB unless told otherwise.
LIMIT := tornado_settings='{"websocket_max_message_size": 268435456}'
BIG_UPLOADS := --ServerApp.$(LIMIT) --Voila.$(LIMIT)
# The web page leaves out cells about files and folders.
FOR_VISITORS := --TagRemovePreprocessor.remove_cell_tags=notebook-only

.PHONY: help demo bench test test-fast test-slow test-browser test-lowest test-colab lint format lab app notebook-outputs clean

help: ## list the commands
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "make %-16s %s\n", $$1, $$2}'

demo: $(VENV)/ready ## run the notebooks; the results go to artifacts/
	$(VENV)/bin/python notebooks/run.py demo

bench: $(VENV)/ready ## measure each claim of speed, side by side with the plain way; an hour
	for name in training prediction cold_start reading latency generation scaling archive big_images; do $(VENV)/bin/python benchmarks/$$name.py || exit 1; done

test: $(VENV)/ready lint ## lint, unit tests and all notebooks; 12 minutes
	$(VENV)/bin/python $(PYTEST)

test-fast: $(VENV)/ready ## without notebooks and training; 2 minutes
	$(VENV)/bin/python $(PYTEST) -m "not slow and not training and not network" tests

test-slow: $(VENV)/ready ## what `make test` leaves out: long fuzzing, large synthetic data sets
	$(VENV)/bin/python $(PYTEST) -m slow tests

test-lowest: $(LOWEST)/ready ## the tests of `make test` at the lower bounds of requirements.txt
	$(LOWEST)/bin/python $(PYTEST)

test-colab: $(COLAB)/ready ## the tests of `make test` with the versions that Colab preinstalls, and those that need PyPI
	$(COLAB)/bin/python $(PYTEST) -m "not slow"

lint: $(VENV)/ready ## ruff (code and notebooks) and import-linter
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/lint-imports --no-cache

format: $(VENV)/ready ## let ruff mend what it can
	$(VENV)/bin/ruff check --fix .
	$(VENV)/bin/ruff format .

lab: $(VENV)/ready ## open the notebooks in JupyterLab
	$(VENV)/bin/jupyter lab notebooks $(BIG_UPLOADS)

app: $(VENV)/app ## notebook 3 as a web page on this machine
	$(VENV)/bin/voila notebooks/03_predict_upload.ipynb $(BIG_UPLOADS) $(FOR_VISITORS)

test-browser: $(VENV)/browser ## upload files in a real browser, in JupyterLab and on the web page; needs chromium
	$(VENV)/bin/python -m pytest tests/browser

notebook-outputs: $(VENV)/ready ## renew the stored outputs that the tests compare
	$(VENV)/bin/python notebooks/run.py store-outputs

clean: ## remove everything that was made here; ~/.cache/mammo can be deleted, too
	rm -rf artifacts $(VENV) $(LOWEST) $(COLAB) src/*.egg-info benchmark*.csv

$(VENV)/ready: requirements.txt requirements-dev.txt pyproject.toml
	@$(PYTHON) -c "import sys; sys.exit(sys.version_info < (3, 10) and 'Python 3.10 or newer is needed; name one with make PYTHON=...')"
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install -q --upgrade pip
	$(VENV)/bin/python -m pip install -q -e . -r requirements-dev.txt
	touch $@

$(VENV)/app: $(VENV)/ready requirements-app.txt
	$(VENV)/bin/python -m pip install -q -r requirements-app.txt
	touch $@

$(VENV)/browser: $(VENV)/app requirements-browser.txt
	$(VENV)/bin/python -m pip install -q -r requirements-browser.txt
	touch $@

# Every ">=" of the two lists becomes "==".
$(LOWEST)/ready: requirements.txt requirements-dev.txt pyproject.toml
	@$(PYTHON) -c "import sys; sys.exit(not (3, 10) <= sys.version_info < (3, 13) and 'The oldest TensorFlow supported has builds for Python 3.10 to 3.12; name one with make PYTHON=...')"
	$(PYTHON) -m venv $(LOWEST)
	$(LOWEST)/bin/python -m pip install -q --upgrade pip
	sed 's/>=/==/' requirements.txt requirements-dev.txt > $(LOWEST)/lowest.txt
	$(LOWEST)/bin/python -m pip install -q -e . -r $(LOWEST)/lowest.txt
	touch $@

# The notebooks here need a newer ipywidgets than Colab has; in Colab it is Colab's.
$(COLAB)/ready: requirements-colab.txt requirements-dev.txt requirements.txt pyproject.toml
	$(PYTHON) -m venv $(COLAB)
	$(COLAB)/bin/python -m pip install -q --upgrade pip
	grep -v '^ipywidgets' requirements-dev.txt > $(COLAB)/dev.txt
	$(COLAB)/bin/python -m pip install -q -e . -r $(COLAB)/dev.txt ipywidgets -c requirements-colab.txt
	touch $@
