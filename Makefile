# Everything here needs Python 3.10 or newer and make.
PYTHON ?= python3
VENV := .venv
LOWEST := .venv-lowest

.PHONY: help demo test test-lowest lint format lab notebook-outputs clean

help: ## list the commands
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "make %-12s %s\n", $$1, $$2}'

demo: $(VENV)/ready ## run the notebooks; the results go to artifacts/
	$(VENV)/bin/python notebooks/run.py demo

test: $(VENV)/ready lint ## lint, unit tests and all notebooks
	$(VENV)/bin/python -m pytest

test-lowest: $(LOWEST)/ready ## the same tests at the lower bounds of requirements.txt
	$(LOWEST)/bin/python -m pytest

lint: $(VENV)/ready ## ruff, code and notebooks
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .

format: $(VENV)/ready ## let ruff mend what it can
	$(VENV)/bin/ruff check --fix .
	$(VENV)/bin/ruff format .

lab: $(VENV)/ready ## open the notebooks in JupyterLab
	$(VENV)/bin/jupyter lab notebooks --ServerApp.tornado_settings='{"websocket_max_message_size": 268435456}'

notebook-outputs: $(VENV)/ready ## renew the stored outputs that the tests compare
	$(VENV)/bin/python notebooks/run.py store-outputs

clean: ## remove everything that was made
	rm -rf artifacts $(VENV) $(LOWEST)

$(VENV)/ready: requirements.txt requirements-dev.txt pyproject.toml
	@$(PYTHON) -c "import sys; sys.exit(sys.version_info < (3, 10) and 'Python 3.10 or newer is needed; name one with make PYTHON=...')"
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install -q --upgrade pip
	$(VENV)/bin/python -m pip install -q -e . -r requirements-dev.txt
	touch $@

# Every ">=" of the two lists becomes "==".
$(LOWEST)/ready: requirements.txt requirements-dev.txt pyproject.toml
	$(PYTHON) -m venv $(LOWEST)
	$(LOWEST)/bin/python -m pip install -q --upgrade pip
	sed 's/>=/==/' requirements.txt requirements-dev.txt > $(LOWEST)/lowest.txt
	$(LOWEST)/bin/python -m pip install -q -e . -r $(LOWEST)/lowest.txt
	touch $@
