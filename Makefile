# Everything runs from .venv, which is made when first needed.

PYTHON ?= python3
BIN := .venv/bin
CONFIG ?= config/config.yaml
SAMPLE ?= 8
GRAPHED := results/tables/all

.PHONY: demo report estimate test test-slurm check bench docs dag

demo: .venv/installed  ## the whole workflow on the closed world, in minutes
	$(BIN)/aligners demo

report: .venv/installed  ## results/report.html of the demo, with the comparisons of its judges
	$(BIN)/snakemake --profile profiles/demo results/report.html
	@echo "The report: results/report.html"

estimate: .venv/installed  ## what a run of CONFIG will take, by SAMPLE requests of each stage
	$(BIN)/aligners estimate --config $(CONFIG) --sample $(SAMPLE)

test: .venv/installed  ## the tests
	$(BIN)/pytest --numprocesses auto --dist loadfile

test-slurm: .venv/installed  ## the tests on a real Slurm on this machine (Debian; root or sudo)
	tests/slurm/install
	$(BIN)/pytest tests/slurm

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

docs: .venv/installed  ## schemas, tables of keys, and the figures of the documents, from results/ if a demo is there
	$(BIN)/python docs/generate.py

# Without a seed, the order of the edges is another each time. The report, which reads from every stage, is left out.
dag: .venv/installed  ## the rule graph in docs/: rulegraph.svg (needs graphviz), and for mermaid in dag.md
	PYTHONHASHSEED=0 $(BIN)/snakemake --rulegraph dot $(GRAPHED) | dot -Tsvg > docs/rulegraph.svg
	PYTHONHASHSEED=0 $(BIN)/snakemake --rulegraph mermaid-js $(GRAPHED) > docs/rulegraph.mmd
	sed -i -e '/^```mermaid$$/,/^```$$/{//!d}' -e '/^```mermaid$$/r docs/rulegraph.mmd' docs/dag.md

# torch comes first and by itself, so that a CPU build at hand is taken.
.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --constraint constraints.txt torch
	$(BIN)/pip install --constraint constraints.txt --editable '.[workflow,evaluation,demo,test,docs]'
	touch $@
