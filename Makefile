# `make demo` and `make test` need only Python 3.11; the first of them creates .venv.
SHELL := /bin/bash
PYTHON ?= python3.11
BIN := .venv/bin
READY := .venv/.ready
MODEL := sam2-hiera-micro
DATA := data
MICRO_PARTS := 128 384 clips tracking
LAUNCH ?= OMP_NUM_THREADS=1 ACCELERATE_USE_CPU=true $(BIN)/torchrun --nproc_per_node 2
MICRO := checkpoints/sam2-hiera-micro
BUNDLED := $(MICRO)/sam2_hf_micro
export PIP_DISABLE_PIP_VERSION_CHECK := 1

TORCH := $(shell grep '^torch==' constraints.txt)

.DEFAULT_GOAL := help
.PHONY: help demo test lint types format docs showcase parity space space-load browser speed micro eval-small clean

help:
	@echo "make demo    segment a photo, track through a clip; the results go to demo_out/"
	@echo "make test    lint, types and all tests"
	@echo "make space   serve the web page at localhost; MODEL=... uses another model, SPACE=\"--jobs 4\" sets flags"
	@echo "make browser  build the page that runs the model in the browser; needs npm"
	@echo "make docs    build the documentation in site/; open site/index.html"
	@echo "make showcase  make the README's pictures; needs the Hub, or MODEL=..., a local model"
	@echo "make lint | types | format | parity | space-load | speed | micro | eval-small | clean"

NEEDS := evaluation/requirements.txt
# Torch comes first, as pinned, so that no other package chooses its version. A failed step leaves no stamp.
$(READY): pyproject.toml constraints.txt $(NEEDS) $(MICRO)/pyproject.toml
	@echo "Installing into .venv; this happens once and takes a few minutes."
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet $(TORCH)
	$(BIN)/pip install --quiet --constraint constraints.txt --editable $(MICRO) --editable '.[dev]' \
		--requirement $(NEEDS)
	@touch $@

demo: $(READY)
	$(BIN)/python -m evaluation.demo --out demo_out $(if $(findstring command,$(origin MODEL)),--model $(MODEL))

# Tests of a file share models and servers, so they stay with one worker until the other is idle.
test: lint types
	$(BIN)/pytest -m "" -n 2 --dist worksteal

lint: $(READY)
	$(BIN)/ruff check
	$(BIN)/ruff format --check

types: $(READY)
	$(BIN)/mypy

format: $(READY)
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

# Warnings, such as broken links, are errors.
docs: $(READY)
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

# The pictures that open the README, with the largest released checkpoint or MODEL=...
showcase: $(READY)
	$(BIN)/python -m evaluation.showcase --out docs/pictures/showcase --readme README.md \
		$(if $(findstring command,$(origin MODEL)),--model $(MODEL))

parity: $(READY)
	$(BIN)/pytest -m "" tests/parity

# Trains the bundled model from scratch; continues an interrupted run. DATA holds bsds500/, coco128/ and
# davis16-half/. The part 384 takes a day on two cores and six minutes on a GPU: LAUNCH="accelerate launch".
micro: $(READY)
	for part in $(MICRO_PARTS); do $(LAUNCH) -m sam2_hf.training.train --config $(MODEL)-$$part \
		--resume || exit; done
	$(BIN)/python -m evaluation.micro.bundle $(MICRO_PARTS:%=runs/$(MODEL)-%) $(BUNDLED)
	$(BIN)/python -m evaluation.micro --data $(DATA) --model $(BUNDLED) --out runs/$(MODEL)-scores
	$(BIN)/python -m evaluation.micro.checks --data $(DATA) --model $(BUNDLED) --out runs/$(MODEL)-checks.json
	$(BIN)/python -m evaluation.micro.card runs/$(MODEL)-scores $(BUNDLED) --checks runs/$(MODEL)-checks.json $(if $(HARDWARE),--hardware "$(HARDWARE)")

# The three protocols on the validation data of the bundled model. DATA holds coco128/, bsds500/ and
# davis16-half/; the report is EVAL/report.html.
EVAL := eval_out
eval-small: $(READY)
	$(BIN)/python -m evaluation.run_vos --model $(MODEL) --dataset folder --root $(DATA)/davis16-half \
		--videos blackswan kite-surf --out $(EVAL)/vos
	$(BIN)/python -m evaluation.run_interactive --model $(MODEL) --dataset folder \
		--root $(DATA)/davis16-half --videos blackswan kite-surf --out $(EVAL)/interactive
	$(BIN)/python -m evaluation.run_image --model $(MODEL) --min-area 0.01 --out $(EVAL)/images --data \
		coco128=coco:$(DATA)/coco128/instances_val.json bsds500=pairs:$(DATA)/bsds500/val
	$(BIN)/python -m evaluation.report $(EVAL)/vos $(EVAL)/interactive $(EVAL)/images \
		--out $(EVAL)/report.html

space: $(READY)
	$(BIN)/python spaces/app.py --model $(MODEL) $(SPACE)

# Simulates visitors of a local server for two minutes: errors, mixed-up visits, waiting, memory.
space-load: $(READY)
	$(BIN)/python -m evaluation.space_load --visitors 20 --seconds 120

# Builds a folder for any static server; serve.py sends the headers that let the browser use threads.
browser: $(READY)
	$(BIN)/python spaces/browser/build.py --model $(MODEL)
	@echo "Serve it: $(BIN)/python spaces/browser/serve.py"

speed: $(READY)
	$(BIN)/python -m evaluation.speed

clean:
	rm -rf spaces/browser/{dist,node_modules}
	rm -rf .venv demo_out site $(EVAL) .mypy_cache .pytest_cache .ruff_cache
