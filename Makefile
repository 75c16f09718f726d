# Every target is one line of `course` or `pytest`; set-up happens by itself, once.
.DELETE_ON_ERROR:
.PHONY: run test lab bench lint refresh clean

# Processes side by side: with the default of one thread per core in each they would wait for each other.
export OMP_NUM_THREADS ?= 1

JOBS ?= 2
PYTHON ?= $(shell for name in python3 python3.13 python3.12 python3.11; do \
	$$name -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$name && break; done)
BIN := .venv/bin
READY := .venv/.ready

run: $(READY)
	$(BIN)/course run

test: $(READY)
	$(BIN)/course lint
	$(BIN)/course offline -- $(BIN)/python -m pytest -n $(JOBS)

lab: $(READY)
	$(BIN)/course student
	env -u OMP_NUM_THREADS $(BIN)/jupyter lab work

bench: $(READY)
	$(BIN)/course bench

lint: $(READY)
	$(BIN)/course lint

refresh: $(READY)
	$(BIN)/course refresh

clean:
	rm -rf .venv .cache build .pytest_cache .hypothesis *.egg-info

$(READY): pyproject.toml constraints.txt models.txt
	$(if $(PYTHON),,$(error Python 3.11 or newer is needed; if you have it: make PYTHON=/path/to/python3))
	@$(PYTHON) -m lib.course.setup
