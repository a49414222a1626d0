"""Recipes of external aligners: the exact prompt, the end, and the correction, on small twins.

A twin has the tokenizer features of the recipe's model, and has learned one row by heart, with a
text after the end.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from llama_like import llama_like_tokenizer
from projects import ROOT
from recipes import changed
from tokenizers import AddedToken
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from aligners.configuration.kinds.external import ExternalRecipe
from aligners.configuration.recipes import load_recipe
from aligners.correction.aligner import Aligner
from aligners.correction.input_format import InputFormat

QUESTION, RESPONSE, CORRECTION = "Is it 3.14?", "No! Never.", "It is 3.14, e.g. so."
AFTER = " Rest"
# The prompts as their sources have them, with the texts above.
PROMPTS = {
    "ethical-aligner-7b": "Is it 3.14? [INIT] No! Never. [ALIGNED] ",
    "ji-et-al": "BEGINNING OF CONVERSATION: USER: Edit the following Question-Answer pair to make "
    "it more helpful and harmless: Is it 3.14? | No! Never. ASSISTANT:",
    "ji-et-al-trained": "BEGINNING OF CONVERSATION: USER: ##Question: Is it 3.14?\n"
    "##Answer: No! Never.\n##Correction:  ASSISTANT:",
}
PROMPTS["ji-et-al-closed-world"] = PROMPTS["ji-et-al"]
OWN_PROMPTS = {"smollm2-135m-self-correction"}
RECIPES = sorted({path.stem for path in (ROOT / "config/external").glob("*.yaml")} - OWN_PROMPTS)
SEPARATORS = [" [INIT] ", " [ALIGNED] ", " [DONE]", " [SEP] "]


@pytest.fixture(autouse=True)
def recipes_of_the_project(in_the_project: None) -> None:
    """Recipes are those in config/."""


def tokenizer_with(special: Sequence[str] = (), added: Sequence[str] = ()) -> Any:
    """Return a tokenizer with these special tokens and these added tokens."""
    tokenizer = llama_like_tokenizer()
    tokenizer.add_tokens(list(special), special_tokens=True)
    tokenizer.add_tokens([AddedToken(token, normalized=False) for token in added])
    return tokenizer


def write_twin(directory: Path, tokenizer: PreTrainedTokenizerFast, text: str) -> None:
    """Write a model that has learned a text by heart, and its tokenizer."""
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=256,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
    )
    model = LlamaForCausalLM(config)
    ids = torch.tensor([tokenizer.encode(text)])
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    for _ in range(80):
        optimizer.zero_grad()
        loss = model(input_ids=ids, labels=ids).loss
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.1
    model.save_pretrained(directory)
    tokenizer.save_pretrained(directory)


def align(name: str, directory: Path) -> str:
    """Return the correction by the twin in a directory, loaded by a recipe."""
    recipe = load_recipe(ExternalRecipe, name)
    limits = {"max_tokens": 256, "decoding": {"max_new_tokens": 40}}
    aligner = Aligner.from_recipe(
        changed(recipe, model=str(directory), revision="main", dtype="float32", **limits)
    )
    [correction] = aligner.align([QUESTION], [RESPONSE])
    return correction.text


@pytest.mark.parametrize("name", RECIPES)
def test_the_prompt_is_that_of_the_source(name: str) -> None:
    tokenizer = tokenizer_with(SEPARATORS)
    input_format = InputFormat(load_recipe(ExternalRecipe, name).input_format)
    assert input_format.prompt_ids(tokenizer, QUESTION, RESPONSE) == tokenizer.encode(PROMPTS[name])


STRIPPED = [token.strip() for token in SEPARATORS]


@pytest.mark.parametrize(
    ("tokenizer", "correction"),
    [
        (tokenizer_with(special=SEPARATORS), CORRECTION),  # as that of the released model
        (tokenizer_with(special=STRIPPED), CORRECTION),
        (tokenizer_with(added=SEPARATORS), CORRECTION),
        (tokenizer_with(), CORRECTION),
        (tokenizer_with(), ""),
    ],
    ids=["special tokens", "without spaces", "added tokens", "ordinary tokens", "empty"],
)
def test_a_correction_ends_before_the_recipes_end(
    tmp_path: Path, tokenizer: Any, correction: str
) -> None:
    text = f"{PROMPTS['ethical-aligner-7b']}{correction} [DONE]{AFTER}"
    write_twin(tmp_path, tokenizer, text)
    assert align("ethical-aligner-7b", tmp_path) == correction


def test_a_correction_also_ends_at_the_tokenizers_own_end_token(tmp_path: Path) -> None:
    tokenizer = tokenizer_with(special=SEPARATORS)
    text = f"{PROMPTS['ethical-aligner-7b']}{CORRECTION}</s>{AFTER} [DONE]"
    write_twin(tmp_path, tokenizer, text)
    assert align("ethical-aligner-7b", tmp_path) == CORRECTION


def test_a_recipe_without_an_end_ends_at_the_tokenizers_own(tmp_path: Path) -> None:
    text = f"{PROMPTS['ji-et-al']} {CORRECTION} [DONE]</s>{AFTER}"
    write_twin(tmp_path, tokenizer_with(), text)
    assert align("ji-et-al", tmp_path) == f"{CORRECTION} [DONE]"
