"""Tokens per second of the engines, with a real model on one core: ours, llama.cpp and vLLM.

SmolLM2 answers real questions greedily: by the engine `transformers` in two number types, by the
method `generate` of transformers on all questions at once, and by the engine `served` on llama.cpp,
which computes with the 4-bit weights, and on vLLM if `make test-vllm` has installed it. All are
loaded first, and take turns, each with one thread. Texts of other number types differ: after one
other token, all that follows is another text.
"""

import csv
import logging
import os
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import torch
import yaml
from figures import Figure, Figures
from project_copy import ROOT
from transformers import AutoModelForCausalLM, AutoTokenizer

from aligners.configuration.kinds.llms import LLMRecipe, ServedRecipe, TransformersRecipe
from aligners.configuration.kinds.pretrained import find_model
from aligners.configuration.validation import validate
from aligners.core.completions import Completion, Decoding, Engine, Request
from aligners.llms.engines import load_engine
from aligners.models.gguf import convert

LLAMACPP = ROOT / "config/llms/smollm2-135m-instruct-llamacpp.yaml"
VLLM = ROOT / ".venv-vllm"
QUESTIONS = ROOT / "resources/real/questions.csv"
NEW_TOKENS = 64
ROUNDS = 2
WARM_UP_ROWS = 4
REFERENCE = "transformers, float32"
GENERATE = "generate in one batch, float32"


def measure(rows: int = 32) -> Figures:
    """Answer the first `rows` questions with every engine."""
    os.environ["PATH"] = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    with QUESTIONS.open(encoding="utf-8", newline="") as file:
        questions = [row["question"] for row in csv.DictReader(file)][:rows]
    requests = [
        Request(f"{number:016x}", [{"role": "user", "content": question}])
        for number, question in enumerate(questions)
    ]
    figures: Figures = {"questions": Figure(len(requests)), "new tokens": Figure(NEW_TOKENS)}
    with tempfile.TemporaryDirectory() as name:
        logging.getLogger("aligners.llms.engines.served").setLevel(logging.WARNING)
        llamacpp = yaml.safe_load(LLAMACPP.read_text(encoding="utf-8"))
        directory = Path(name) / "smollm2"
        convert(find_model(llamacpp["model"]), directory)
        engines, seconds_to_load = {}, {}
        for label, recipe in engine_recipes(llamacpp, directory).items():
            started = time.perf_counter()
            engines[label] = load_engine(recipe)
            seconds_to_load[label] = time.perf_counter() - started
        started = time.perf_counter()
        engines[GENERATE] = batched_generate(directory)
        seconds_to_load[GENERATE] = time.perf_counter() - started
        texts, rates = take_turns(engines, requests)
    for label in engines:
        ratio = median(
            own / reference for own, reference in zip(rates[label], rates[REFERENCE], strict=True)
        )
        pairs = zip(texts[label], texts[REFERENCE], strict=True)
        figures |= {
            f"{label}, seconds to load": Figure(seconds_to_load[label]),
            f"{label}, tokens/s": Figure(median(rates[label])),
            f"{label}, ratio to {REFERENCE}": Figure(ratio),
            f"{label}, share of texts equal to {REFERENCE}": Figure(
                sum(own == reference for own, reference in pairs) / len(requests)
            ),
        }
    return figures


def batched_generate(directory: Path) -> Engine:
    """Return an engine that calls the method `generate` of transformers on all rows at once."""
    tokenizer = AutoTokenizer.from_pretrained(directory, padding_side="left")
    tokenizer.pad_token = tokenizer.pad_token or tokenizer.eos_token
    model: Any = AutoModelForCausalLM.from_pretrained(directory, dtype=torch.float32)

    def engine(requests: Iterable[Request], decoding: Decoding) -> Iterator[Completion]:
        asked = list(requests)
        inputs = tokenizer.apply_chat_template(
            [request.prompt for request in asked],
            add_generation_prompt=True,
            padding=True,
            return_tensors="pt",
            return_dict=True,
        )
        with torch.inference_mode():
            made = model.generate(
                **inputs,
                max_new_tokens=decoding.max_new_tokens,
                do_sample=False,
                pad_token_id=tokenizer.pad_token_id,
            )
        ends = {tokenizer.eos_token_id, tokenizer.pad_token_id}
        for request, ids in zip(asked, made[:, inputs["input_ids"].shape[1] :], strict=True):
            tokens = [token for token in ids.tolist() if token not in ends]
            text = tokenizer.decode(tokens, skip_special_tokens=True)
            yield Completion(request.id, text, "stop", tokens_out=len(tokens))

    return engine


def engine_recipes(llamacpp: dict[str, object], directory: Path) -> dict[str, LLMRecipe]:
    """Return the recipes of the engines that are installed, the reference first."""
    local = {"chat": True, "model": str(directory)}
    recipes: dict[str, LLMRecipe] = {
        f"transformers, {dtype}": validate(
            TransformersRecipe, {"engine": "transformers", **local, "dtype": dtype}, LLAMACPP
        )
        for dtype in ("float32", "bfloat16")
    }
    recipes["llama.cpp, Q4_1"] = validate(ServedRecipe, llamacpp, LLAMACPP)
    if VLLM.exists():
        command = (
            f"bash -c 'source {VLLM}/bin/activate && VLLM_CPU_KVCACHE_SPACE=1 HF_HUB_OFFLINE=1"
            " exec vllm serve {model} --host 127.0.0.1 --port {port} --max-model-len 2048"
            " --dtype bfloat16'"
        )
        served = {"engine": "served", **local, "command": command}
        recipes["vLLM, bfloat16"] = validate(ServedRecipe, served, LLAMACPP)
    return recipes


def take_turns(
    engines: dict[str, Engine], requests: Sequence[Request]
) -> tuple[dict[str, list[str]], dict[str, list[float]]]:
    """Return the texts of each engine, and its tokens per second in each round.

    A few requests go through each engine first, as warm-up.
    """
    texts: dict[str, list[str]] = {}
    rates: dict[str, list[float]] = {label: [] for label in engines}
    decoding = Decoding(max_new_tokens=NEW_TOKENS)
    for engine in engines.values():
        list(engine(requests[:WARM_UP_ROWS], decoding))
    for _ in range(ROUNDS):
        for label, engine in engines.items():
            started = time.perf_counter()
            results = list(engine(requests, decoding))
            seconds = time.perf_counter() - started
            completions = [result for result in results if isinstance(result, Completion)]
            assert len(completions) == len(requests), results
            completions.sort(key=lambda completion: completion.id)
            texts[label] = [completion.text for completion in completions]
            rates[label].append(sum(each.tokens_out for each in completions) / seconds)
    return texts, rates
