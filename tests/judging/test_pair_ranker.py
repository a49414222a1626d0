"""PairRM: its scores, lengths and special tokens, and models that are not PairRM."""

import functools
import itertools
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import judge_comparisons
import numpy as np
import pytest
import torch
import yaml
from safetensors.torch import load_file, save_file
from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, processors, trainers
from transformers import DebertaV2Config, DebertaV2Model, PreTrainedTokenizerFast

from aligners.configuration import results
from aligners.configuration.kinds.pretrained import ModelSource
from aligners.core.errors import UserError
from aligners.core.rows import read_json, read_rows, row_id, write_json, write_rows
from aligners.judging.pairrm import PairRanker

MARKERS = ["<|source|>", "<|candidate1|>", "<|candidate2|>", "<|candidate|>"]
QUESTIONS = ["What is a fjord?", "Why is the sky blue, and what of it at dusk?", "Hm?", "Who?"]
TEXTS = ["An arm of the sea.", "Light is scattered by air. " * 30, "No idea", "Ask the ﬁsh  ½"]
WIDTH = 32
CONFIG: dict[str, Any] = {
    "hidden_size": WIDTH,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 64,
    "relative_attention": True,
    # Few, so that long texts have distances outside of the buckets.
    "position_buckets": 64,
    "position_biased_input": False,
    "share_att_key": True,
    "pos_att_type": "p2c|c2p",
    "norm_rel_ebd": "layer_norm",
    "type_vocab_size": 0,
    "initializer_range": 0.4,
    "n_tasks": 1,
    "drop_out": 0.05,
}


def make_tokenizer() -> PreTrainedTokenizerFast:
    """Return a tokenizer of DeBERTa-v3's type, with the added tokens of PairRM."""
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.Strip(), normalizers.NFKC(), normalizers.Replace(Regex(" {2,}"), " ")]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    names = ["[PAD]", "[CLS]", "[SEP]", "[UNK]"]
    trainer = trainers.UnigramTrainer(
        vocab_size=90, special_tokens=names, unk_token="[UNK]", show_progress=False
    )
    tokenizer.train_from_iterator(QUESTIONS + TEXTS, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 1), ("[SEP]", 2)]
    )
    keys = ("pad_token", "cls_token", "sep_token", "unk_token")
    own = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, model_max_length=64, **dict(zip(keys, names, strict=True))
    )
    own.add_tokens(MARKERS)
    return own


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small model with the files, names and weights of the release."""
    directory = tmp_path_factory.mktemp("pairrm")
    tokenizer = make_tokenizer()
    tokenizer.save_pretrained(directory)
    settings = json.loads((directory / "tokenizer_config.json").read_text())
    settings["tokenizer_class"] = "DebertaV2Tokenizer"
    (directory / "tokenizer_config.json").write_text(json.dumps(settings))
    torch.manual_seed(0)
    config = DebertaV2Config(vocab_size=len(tokenizer), **CONFIG)
    backbone = DebertaV2Model(config).state_dict()
    weights = {f"pretrained_model.{name}": weight for name, weight in backbone.items()}
    for place, rows, columns in ((1, WIDTH, 2 * WIDTH), (4, 1, WIDTH)):
        weights[f"head_layer.{place}.weight"] = torch.randn(rows, columns) / columns**0.5
        weights[f"head_layer.{place}.bias"] = torch.randn(rows)
    config.architectures = ["DebertaV2PairRM"]
    config.save_pretrained(directory)
    save_file(weights, directory / "model.safetensors", metadata={"format": "pt"})
    return directory


@pytest.fixture(scope="module")
def ranker(checkpoint: Path) -> PairRanker:
    return PairRanker.load(ModelSource(str(checkpoint)))


@functools.cache
def read(directory: Path) -> tuple[Any, Any, dict[str, torch.Tensor]]:
    """Return the tokenizer, transformers' own DeBERTa and all weights of a checkpoint."""
    tokenizer = PreTrainedTokenizerFast(tokenizer_file=str(directory / "tokenizer.json"))
    weights = load_file(directory / "model.safetensors")
    backbone = DebertaV2Model(DebertaV2Config.from_pretrained(directory)).eval()
    prefix = "pretrained_model."
    backbone.load_state_dict(
        {name.removeprefix(prefix): w for name, w in weights.items() if name.startswith(prefix)}
    )
    return tokenizer, backbone, weights


@torch.no_grad()
def expected(directory: Path, question: str, first: str, second: str) -> float:
    """Return the logit of one comparison, step by step, alone and without padding."""
    tokenizer, backbone, weights = read(directory)
    source = tokenizer.encode("<|source|>" + question, max_length=1224, truncation=True)
    limit = (2048 - len(source)) // 2
    candidates = [
        tokenizer.encode(marker + text, max_length=limit, truncation=True)
        for marker, text in (("<|candidate1|>", first), ("<|candidate2|>", second))
    ]
    ids = torch.tensor([source + candidates[0] + candidates[1]])
    states = backbone(ids, output_hidden_states=True).hidden_states[-1][0]
    places = [states[ids[0] == tokenizer.convert_tokens_to_ids(name)][0] for name in MARKERS[:3]]
    scores = []
    for place in places[1:]:
        hidden = weights["head_layer.1.weight"] @ torch.cat([places[0], place])
        hidden = torch.tanh(hidden + weights["head_layer.1.bias"])
        scores.append(weights["head_layer.4.weight"] @ hidden + weights["head_layer.4.bias"])
    return float(scores[0] - scores[1])


def assert_expected(
    ranker: PairRanker, directory: Path, rows: Sequence[tuple[str, str, str]]
) -> None:
    """Check that the ranker's logits equal those computed one by one."""
    logits = [expected(directory, *row) for row in rows]
    assert ranker.compare(rows) == pytest.approx(logits, abs=1e-5)


def test_logits_are_in_the_order_of_the_rows(ranker: PairRanker, checkpoint: Path) -> None:
    rows = [(q, a, TEXTS[(n + 1) % 4]) for n, a in enumerate(TEXTS) for q in QUESTIONS]
    assert_expected(ranker, checkpoint, rows)
    logits = np.array(ranker.compare(rows))
    swapped = np.array(ranker.compare([(q, b, a) for q, a, b in rows]))
    assert np.ptp(logits) > 0.1
    assert np.abs(logits + swapped).max() > 0.1


def test_long_texts_are_truncated_as_in_the_release(ranker: PairRanker, checkpoint: Path) -> None:
    long = "Light is scattered by air. " * 400
    rows = [(long, "Yes.", "No."), ("Why?", long, "No."), (long, long, "No." + long)]
    assert_expected(ranker, checkpoint, rows[:2])
    lengths = [len(inputs["input_ids"]) for inputs in ranker.encode(rows)]
    assert lengths[0] > 1224 and lengths[1] < 1224 and lengths[2] == 2048


def test_an_empty_text_is_compared(ranker: PairRanker, checkpoint: Path) -> None:
    rows = [(QUESTIONS[0], "", TEXTS[0]), (QUESTIONS[0], TEXTS[2], "")]
    assert_expected(ranker, checkpoint, rows)


def test_a_logit_that_is_not_a_number_is_an_error(checkpoint: Path) -> None:
    ranker = PairRanker.load(ModelSource(str(checkpoint)))
    # The weights are finite, but their sums are not.
    torch.nn.init.constant_(ranker.model.head_layer[4].weight, 3e38)
    torch.nn.init.constant_(ranker.model.head_layer[1].bias, 99)
    with pytest.raises(UserError, match=rf"{checkpoint}: .*'{QUESTIONS[0][:-1]}.*NaN"):
        ranker.compare([(QUESTIONS[0], "", TEXTS[0])])


def test_a_comparison_does_not_depend_on_the_others(ranker: PairRanker, checkpoint: Path) -> None:
    rows = [(q, a, b) for q in QUESTIONS for a, b in itertools.pairwise(TEXTS)]
    together = ranker.compare(rows)
    alone = PairRanker.load(ModelSource(str(checkpoint)))
    alone.batch_tokens = 1
    assert alone.compare(rows) == pytest.approx(together, abs=1e-5)
    assert alone.compare([]) == []


def test_special_tokens_in_a_text_become_spaces(ranker: PairRanker) -> None:
    spaces = ranker.compare([("a  b", "c   d", "e")])
    marked = ranker.compare([("a<|source|> b", "c <|candidate2|>[SEP]d", "e[CLS]")])
    assert marked == pytest.approx(spaces, abs=1e-5)


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (lambda weights: weights.pop("head_layer.4.bias"), "missing: head_layer.4.bias"),
        (lambda weights: weights.update(more=torch.zeros(1)), "unexpected: more"),
    ],
)
def test_missing_or_unexpected_weights_are_an_error(
    checkpoint: Path, tmp_path: Path, change: Any, fault: str
) -> None:
    for path in checkpoint.glob("*.json"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    weights = load_file(checkpoint / "model.safetensors")
    change(weights)
    save_file(weights, tmp_path / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(UserError) as caught:
        PairRanker.load(ModelSource(str(tmp_path)))
    assert str(tmp_path) in str(caught.value) and fault in str(caught.value)


@pytest.mark.parametrize(
    ("change", "key"),
    [
        ({"model_type": "deberta"}, "model_type: deberta-v2"),
        ({"share_att_key": False}, "share_att_key: True"),
        ({"n_tasks": None}, "n_tasks"),
    ],
)
def test_another_architecture_is_an_error(
    checkpoint: Path, tmp_path: Path, change: dict[str, Any], key: str
) -> None:
    for path in checkpoint.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    config = json.loads((tmp_path / "config.json").read_text()) | change
    kept = {key: value for key, value in config.items() if value is not None}
    (tmp_path / "config.json").write_text(json.dumps(kept))
    with pytest.raises(UserError, match=rf"config\.json.* {key}; .*PairRM-hf"):
        PairRanker.load(ModelSource(str(tmp_path)))


def test_a_tokenizer_without_the_markers_is_an_error(checkpoint: Path, tmp_path: Path) -> None:
    for path in checkpoint.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    text = (tmp_path / "tokenizer.json").read_text().replace("<|candidate2|>", "<|other|>")
    (tmp_path / "tokenizer.json").write_text(text)
    with pytest.raises(UserError, match=r"<\|candidate2\|>.*PairRM-hf"):
        PairRanker.load(ModelSource(str(tmp_path)))


@pytest.mark.usefixtures("project")
def test_pairrm_is_a_judge_by_its_recipe(ranker: PairRanker, checkpoint: Path) -> None:
    recipe = {"model": str(checkpoint), "revision": "main"}
    Path("config/judges/tiny.yaml").write_text(yaml.safe_dump(recipe))
    inputs = [
        {"id": row_id(text), "question": text, "category": None, "category_id": None}
        for text in QUESTIONS
    ]
    names = dict(zip(results.VERDICTS.fields, ["tiny", *"dlbsr"], strict=True))
    write_rows(results.INPUTS.path(**names), inputs)
    write_rows(
        results.RESPONSES.path(**names),
        [{**row, "response": text} for row, text in zip(inputs, TEXTS, strict=True)],
    )
    sides = {
        results.MODEL_OUTPUTS: TEXTS[1:] + TEXTS[:1],
        results.REFERENCE_OUTPUTS: [*TEXTS[:3], TEXTS[0]],
    }
    for side, texts in sides.items():
        rows = [
            {"instruction": row["question"], "output": text, "generator": "of the test"}
            for row, text in zip(inputs, texts, strict=True)
        ]
        write_json(side.path(**names), rows)
    spanned = {field: [names[field]] for field in ("backbone", "system", "reference")}
    judge_comparisons.main(
        judge="tiny", dataset="d", llm="l", names=json.dumps({**spanned, "traced": []})
    )
    rows = read_rows(results.VERDICTS.path(**names))
    for row, question, ours, theirs in zip(rows, QUESTIONS, *sides.values(), strict=True):
        orders = [(question, ours, theirs), (question, theirs, ours)]
        first, second = (1 / (1 + np.exp(-logit)) for logit in ranker.compare(orders))
        preferences = (0.5, 0.5) if ours == theirs else (first, 1 - second)
        assert (row["first_order"], row["second_order"]) == pytest.approx(preferences, abs=1e-5)
    assert rows[3]["first_order"] == 0.5
    assert read_json(results.JUDGE_USAGE.path(**names))["completions"] == 0
