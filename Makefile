# One command each; the first of them sets up the environment in .venv, once.
PYTHON ?= python3
BIN := $(if $(filter Windows_NT,$(OS)),Scripts,bin)
RUN := .venv/$(BIN)/python
LESSON := notebooks/01_spectrograms.ipynb
# Without a screen JupyterLab prints its address; containers often run as root.
LAB := $(if $(DISPLAY)$(WAYLAND_DISPLAY)$(filter Darwin Windows_NT,$(OS) $(shell uname)),,--no-browser) \
	$(if $(filter 0,$(shell id -u)),--allow-root)
NBVAL := -m pytest notebooks --nbval-lax --nbval-current-env --nbval-cell-timeout 600 -n 2 --dist loadfile

.PHONY: lab run book workshop test test-colab test-browser format experiments set-up set-up-colab set-up-book

lab: set-up  ## open the first lesson in JupyterLab
	$(RUN) -m jupyterlab $(LAB) --LabApp.default_url=/lab/tree/$(LESSON)

run: set-up  ## execute every lesson into copies and pages under build/
	$(RUN) -m tools.notebooks run

book: set-up-book  ## a page for every notebook, from its stored outputs, under build/book
	.venv-book/$(BIN)/python -m tools.book

workshop: set-up  ## what a class needs, under build/workshop: editions for both sides of the room, slides, a memory stick
	$(RUN) -m tools.workshop

# The tests need no network and no data. Two kernels on two cores: a thread for each.
test test-colab: export PROFILE := offline
test test-colab: export HF_HUB_OFFLINE := 1
test test-colab: export OMP_NUM_THREADS := 1

test: set-up  ## everything that must hold, without a network
	$(RUN) -m tools.notebooks format --check
	$(RUN) -m pytest tests -n 2
	$(RUN) $(NBVAL)

test-colab: set-up-colab  ## the lessons on the versions of Google Colab's kernel
	.venv-colab/$(BIN)/python $(NBVAL)

test-browser: set-up  ## lessons and book as Chromium shows them, where it and its driver are installed
	$(RUN) -m pytest tests/test_browser.py -m browser -rs

format: set-up  ## one normal form for code and notebooks
	$(RUN) -m tools.notebooks format

experiments: set-up  ## make what the recorded runs still lack (hours; stop and go on at will)
	for name in esc10 nano channels positions recipe learning_curve averaged tuning nested; do \
		$(RUN) -m experiments.run $$name || exit 1; done
	$(RUN) -m experiments.digits
	$(RUN) -m tools.results

set-up:
	@$(PYTHON) tools/setup.py

set-up-colab:
	@$(PYTHON) tools/setup.py --colab

set-up-book:
	@$(PYTHON) tools/setup.py --book
