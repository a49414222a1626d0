"""Rows per second of an aligner in the job and on servers, with a real model on one core.

SmolLM2 is asked to correct its own responses, by the external recipe of the project: in the job in
two number types, on llama.cpp with its 4-bit weights, on `transformers serve`, and on vLLM if
`make test-vllm` has installed it. On vLLM, the same model also runs with two adapters without
effect, which correct half of the rows each: the cost of adapters. All take turns, each with one
thread. Texts of other number types differ.
"""

import csv
import logging
import os
import shlex
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import torch
from engines import LLAMACPP, NEW_TOKENS, QUESTIONS, VLLM
from figures import Figure, Figures
from peft import LoraConfig, get_peft_model
from project_copy import ROOT
from transformers import AutoModelForCausalLM

from aligners.configuration.kinds.backbones import BackboneRecipe
from aligners.configuration.kinds.external import ReleasedExternalRecipe
from aligners.configuration.kinds.inference import Inference
from aligners.configuration.kinds.llms import TransformersRecipe
from aligners.configuration.kinds.pretrained import find_model
from aligners.configuration.recipes import load_recipe
from aligners.configuration.validation import validate
from aligners.core.completions import Completion, Decoding, Request
from aligners.correction.adapters import ADAPTER
from aligners.correction.aligner import Aligner
from aligners.correction.input_format import InputFormat, save_format
from aligners.correction.loading import load_aligners
from aligners.correction.problems import AlignerCorrection
from aligners.llms.engines import load_engine
from aligners.models.gguf import convert
from aligners.training.lora import save_adapters

RECIPE = "smollm2-135m-self-correction"
ROUNDS = 2
WARM_UP_ROWS = 2
ADAPTERS = ("first", "second")
REFERENCE = "in the job, float32"

Rows = Sequence[tuple[str, str]]
Correct = Callable[[Rows], list[AlignerCorrection]]


def measure(rows: int = 32) -> Figures:
    """Correct the responses to the first `rows` questions with every engine."""
    os.environ["PATH"] = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    logging.getLogger("aligners.llms.engines.served").setLevel(logging.WARNING)
    recipe = load_recipe(ReleasedExternalRecipe, RECIPE)
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name) / "smollm2"
        convert(find_model(recipe.model), directory)
        asked = make_rows(directory, rows)
        loaded, seconds = {}, {}
        for label, load in loaders(recipe, directory).items():
            started = time.perf_counter()
            loaded[label] = load()
            loaded[label](asked[:WARM_UP_ROWS])
            seconds[label] = time.perf_counter() - started
        texts, rates = take_turns(loaded, asked)
    figures: Figures = {"rows": Figure(rows)}
    for label in loaded:
        ratio = median(
            own / reference for own, reference in zip(rates[label], rates[REFERENCE], strict=True)
        )
        equal = sum(a == b for a, b in zip(texts[label], texts[REFERENCE], strict=True)) / rows
        figures |= {
            f"{label}, seconds until the first rows": Figure(seconds[label]),
            f"{label}, rows/s": Figure(median(rates[label])),
            f"{label}, ratio to {REFERENCE}": Figure(ratio),
            f"{label}, share of texts equal to {REFERENCE}": Figure(equal),
        }
    return figures


def make_rows(directory: Path, count: int) -> Rows:
    """Return questions with the responses of the model."""
    with QUESTIONS.open(encoding="utf-8", newline="") as file:
        questions = [row["question"] for row in csv.DictReader(file)][:count]
    keys = {"engine": "transformers", "model": str(directory), "chat": True, "dtype": "bfloat16"}
    engine = load_engine(validate(TransformersRecipe, keys, LLAMACPP))
    requests = [Request(str(number), question) for number, question in enumerate(questions)]
    results = engine(requests, Decoding(max_new_tokens=NEW_TOKENS))
    texts = {each.id: each.text for each in results if isinstance(each, Completion)}
    return [(question, texts[str(number)]) for number, question in enumerate(questions)]


def loaders(recipe: ReleasedExternalRecipe, directory: Path) -> dict[str, Callable[[], Correct]]:
    """Return functions that load the aligner on each engine that is installed."""

    def external(model: str, dtype: str, **inference: Any) -> Callable[[], Correct]:
        keys = {"model": model, "dtype": dtype, "inference": Inference.model_validate(inference)}
        return lambda: one_aligner(Aligner.from_recipe(recipe.model_copy(update=keys)))

    local = str(directory)
    found = {
        REFERENCE: external(local, "float32"),
        "in the job, bfloat16": external(local, "bfloat16"),
    }
    # The tokenizer is that of the converted file.
    llamacpp = (
        f"python {{workflow}}/workflow/scripts/serve_gguf.py --model {find_model(recipe.model)}"
        " --port {port} --parallel 8 --context 1024"
    )
    found["llama.cpp, Q4_1"] = external(
        local, "float32", engine="served", command=llamacpp, concurrency=8
    )
    program = shlex.quote(str(Path(sys.executable).with_name("transformers")))
    serve = (
        f"env HF_HUB_OFFLINE=1 OMP_NUM_THREADS=1 {program} serve {{model}} --host 127.0.0.1"
        " --port {port} --device cpu"
    )
    found["transformers serve, float32"] = external(
        local, "float32", engine="served", command=serve, prompts="text"
    )
    if VLLM.exists():
        command = (
            f"bash -c 'source {VLLM}/bin/activate && OMP_NUM_THREADS=1 VLLM_CPU_KVCACHE_SPACE=1"
            " HF_HUB_OFFLINE=1 exec vllm serve {model} --host 127.0.0.1 --port {port}"
            " --max-model-len 1024 --dtype bfloat16"
        )
        found["vLLM, bfloat16"] = external(local, "float32", engine="served", command=f"{command}'")
        lora = f"{command} --enable-lora --max-loras 2 --max-lora-rank 8 --lora-modules"
        inference = Inference(engine="served", command=f"{lora} {{adapters}}'")
        found["vLLM with two adapters, bfloat16"] = lambda: with_adapters(
            recipe, directory, inference
        )
    return found


def one_aligner(aligner: Aligner) -> Correct:
    """Return a function that corrects rows with an aligner."""
    return lambda rows: aligner.align([row[0] for row in rows], [row[1] for row in rows])


def with_adapters(recipe: ReleasedExternalRecipe, directory: Path, inference: Inference) -> Correct:
    """Return a function that corrects half of the rows with each of two adapters."""
    paths = [directory.parent / name for name in ADAPTERS]
    for path in paths:
        make_adapter(recipe, directory, path)
    first, second = load_aligners(paths, inference).values()

    def correct(rows: Rows) -> list[AlignerCorrection]:
        half = len(rows) // 2
        return one_aligner(first)(rows[:half]) + one_aligner(second)(rows[half:])

    return correct


def make_adapter(recipe: ReleasedExternalRecipe, base: Path, directory: Path) -> None:
    """Write the directory of an aligner with an adapter that is not trained: it has no effect."""
    directory.mkdir()
    for path in base.iterdir():
        (directory / path.name).symlink_to(path)
    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    config = LoraConfig(task_type="CAUSAL_LM", r=8, target_modules="all-linear")
    save_adapters(get_peft_model(model, config), "main", directory / ADAPTER, True)
    decoding = recipe.decoding.model_dump()
    settings = {"model": str(base), "max_tokens": recipe.max_tokens, "decoding": decoding}
    save_format(
        directory, InputFormat(recipe.input_format), validate(BackboneRecipe, settings, ROOT)
    )


def take_turns(
    loaded: dict[str, Correct], rows: Rows
) -> tuple[dict[str, list[str]], dict[str, list[float]]]:
    """Return the texts of each engine, and its rows per second in each round."""
    texts: dict[str, list[str]] = {}
    rates: dict[str, list[float]] = {label: [] for label in loaded}
    for _ in range(ROUNDS):
        for label, correct in loaded.items():
            started = time.perf_counter()
            corrections = correct(rows)
            rates[label].append(len(rows) / (time.perf_counter() - started))
            texts[label] = [correction.text for correction in corrections]
    return texts, rates
