"""Aligners: training, saving, loading and correcting."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tiny_models import SHAPES, make_model, rows
from tiny_training import recipe, train
from transformers import AutoTokenizer

from aligners.configuration.kinds.pretrained import ModelSource
from aligners.core.completions import Decoding
from aligners.core.errors import UserError
from aligners.core.plots import plot_histogram, plot_losses
from aligners.correction.aligner import Aligner
from aligners.correction.input_format import PAPER_FORMAT, PLAIN_FORMAT, InputFormat
from aligners.correction.problems import AlignerCorrection
from aligners.correction.train import RowEncoder, load_backbone
from aligners.models.special_tokens import plain_ids

EXTERNAL_FORMAT = InputFormat(prompt="Edit the pair: {question} | {response} ASSISTANT:")


@pytest.mark.parametrize("model_type", SHAPES)
def test_every_model_type_is_trained_and_loaded(tmp_path: Path, model_type: str) -> None:
    metrics = train(tmp_path, recipe(model_type))
    validation = [x["validation_loss"] for x in metrics["losses"] if "validation_loss" in x]
    assert len(validation) == 4 and validation[-1] < validation[0]
    assert metrics["validation_loss"] == pytest.approx(min(validation), abs=1e-6)
    assert (metrics["steps"], metrics["train_rows"], metrics["dropped"]) == (10, 36, 0)
    aligner = Aligner.from_directory(tmp_path / "model")
    assert len(aligner.align(["What?"] * 3, ["a", "b", "a"])) == 3
    assert aligner.decoding == Decoding(max_new_tokens=12)


def test_a_trained_aligner_writes_the_correction_and_ends_it(tmp_path: Path) -> None:
    settings = recipe(epochs=30, warmup_steps=20, learning_rate=1e-2, dropout=0.0, patience=99)
    metrics = train(tmp_path, settings)
    assert metrics["validation_loss"] < 0.1
    aligner = Aligner.from_directory(tmp_path / "model")
    seen = rows(10)
    # A text that did not stop at [DONE] would be longer: as many tokens are allowed as the longest
    # response has.
    longest = max(len(plain_ids(aligner.tokenizer, row["response"])) for row in seen)
    aligner.decoding = replace(aligner.decoding, max_new_tokens=longest)
    assert aligner.align([row["question"] for row in seen], [row["response"] for row in seen]) == [
        AlignerCorrection(row["aligned_response"]) for row in seen
    ]


def test_an_external_format_ends_at_the_tokenizers_end_token(tmp_path: Path) -> None:
    settings = recipe(epochs=40, warmup_steps=20, learning_rate=5e-3, patience=99)
    train(tmp_path, settings, EXTERNAL_FORMAT)
    aligner = Aligner.from_directory(tmp_path / "model")
    assert aligner.input_format == EXTERNAL_FORMAT
    [row] = rows(1)
    corrections = aligner.align([row["question"]], [row["response"]])
    assert corrections == [AlignerCorrection(row["aligned_response"])]


def test_a_completion_is_the_correction_and_its_end_token(tmp_path: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(make_model("gpt2", tmp_path / "gpt2"))
    PAPER_FORMAT.add_tokens(tokenizer)
    encoded = RowEncoder(tokenizer, PAPER_FORMAT, 96).encode(rows(6))
    for row, inputs in zip(rows(6), encoded, strict=True):
        prompt = inputs["input_ids"][: inputs["prompt_tokens"]]
        completion = inputs["input_ids"][inputs["prompt_tokens"] :]
        assert tokenizer.decode(completion) == row["aligned_response"] + " [DONE]"
        assert tokenizer.decode(prompt).endswith(" [ALIGNED] ")


def test_rows_that_are_too_long_are_truncated_or_dropped(tmp_path: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(make_model("gpt2", tmp_path / "gpt2"))
    PAPER_FORMAT.add_tokens(tokenizer)
    short, second, third, fourth = rows(4)
    long_response = {**second, "response": "word " * 200}
    long_question = {**third, "question": "word " * 200}
    long_correction = {**fourth, "aligned_response": "word " * 200}
    encoder = RowEncoder(tokenizer, PAPER_FORMAT, 96)
    encoded = encoder.encode([short, long_response, long_question, long_correction])
    assert [row["truncated"] for row in encoded] == [False, True]
    too_long = [{**row, "reason": "too_long"} for row in (long_question, long_correction)]
    assert encoder.dropped == too_long
    assert len(encoded[1]["input_ids"]) <= 96
    text = tokenizer.decode(encoded[1]["input_ids"])
    assert text.startswith(second["question"] + " [INIT] word word")
    assert text.endswith(f" [ALIGNED] {second['aligned_response']} [DONE]")


def test_a_response_that_does_not_fit_whole_is_not_corrected(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    train(tmp_path, recipe(epochs=1))
    aligner = Aligner.from_directory(tmp_path / "model")
    long = "word " * 200
    short, question, response = aligner.align(["What?", long, "Who?"], ["fine", "as it was", long])
    assert question == AlignerCorrection("as it was", "too_long")
    assert response == AlignerCorrection(long, "too_long")
    assert short.problem != "too_long"
    assert "2 too_long" in caplog.text and "of 3 corrections" in caplog.text


def test_the_longest_response_that_the_aligner_can_read_and_repeat_fits(tmp_path: Path) -> None:
    train(tmp_path, recipe(epochs=1))
    aligner = Aligner.from_directory(tmp_path / "model")

    def longest() -> int:
        texts = [" word" * count for count in range(1, 400)]
        return max(aligner.encode(["Who?"] * len(texts), texts, "")[0]) + 1

    def tokens(words: int) -> int:
        text = " word" * words
        return len(aligner.input_format.prompt_ids(aligner.tokenizer, "Who?", text))

    new_tokens = 50
    aligner.decoding = replace(aligner.decoding, max_new_tokens=new_tokens)
    aligner.max_tokens = 60
    read = longest()
    assert tokens(read) <= aligner.prompt_limit() < tokens(read + 1)
    aligner.max_tokens = 1000
    repeated = longest()
    sizes = [
        len(plain_ids(aligner.tokenizer, " word" * words)) for words in (repeated, repeated + 1)
    ]
    assert sizes[0] <= new_tokens < sizes[1]


def test_a_correction_without_its_end_token_has_a_problem(tmp_path: Path) -> None:
    settings = recipe(epochs=30, warmup_steps=20, learning_rate=1e-2, dropout=0.0, patience=99)
    train(tmp_path, settings)
    aligner = Aligner.from_directory(tmp_path / "model")
    [row] = rows(1)
    texts = [row["question"]], [row["response"]]
    [whole] = aligner.align(*texts)
    assert whole == AlignerCorrection(row["aligned_response"])
    aligner.backend.end_token_ids = set()
    [endless] = aligner.align(*texts)
    assert endless.problem in ("not_ended", "loops")
    aligner.backend.end_token_ids = set(range(len(aligner.tokenizer)))
    assert aligner.align(*texts) == [AlignerCorrection("", "empty")]


def test_a_training_set_whose_rows_are_all_too_long_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"max_tokens 8\b.*\b0 of 36\b.*\b0 of 8\b"):
        train(tmp_path, recipe().model_copy(update={"max_tokens": 8}))


def test_plots_are_png_files(tmp_path: Path) -> None:
    losses = [{"step": 1, "train_loss": 2.0}, {"step": 2, "validation_loss": 1.5}]
    plot_losses(losses, tmp_path / "losses.png")
    plot_histogram([0.1, 0.2, 0.9], tmp_path / "histogram.png", "cosine", threshold=0.5)
    for name in ("losses.png", "histogram.png"):
        assert (tmp_path / name).read_bytes().startswith(b"\x89PNG")


def test_added_tokens_start_from_tokens_of_like_meaning(tmp_path: Path) -> None:
    source = ModelSource(str(make_model("gpt2", tmp_path / "gpt2")))
    tokenizer, model = load_backbone(source, PAPER_FORMAT, dropout=None)
    embeddings = model.get_input_embeddings().weight
    end = PAPER_FORMAT.end_token_id(tokenizer)
    assert torch.equal(embeddings[end], embeddings[tokenizer.eos_token_id])
    [aligned] = tokenizer.convert_tokens_to_ids([" [ALIGNED] "])
    like = embeddings[plain_ids(tokenizer, "\nCorrected answer:")].mean(dim=0)
    assert torch.allclose(embeddings[aligned], like)


def test_metrics_have_the_loss_of_the_end_token(tmp_path: Path) -> None:
    metrics = train(tmp_path, recipe(epochs=30, patience=30))
    assert metrics["ended_share"] == 1 and metrics["end_loss"] < 0.5
    best = [entry for entry in metrics["losses"] if entry["step"] == metrics["best_step"]]
    assert any("validation_loss" in entry for entry in best)


def test_a_training_that_does_not_learn_to_end_fails_with_that_reason(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    settings = recipe(epochs=1, learning_rate=1e-9, warmup_steps=500, least_ended=0.5)
    with pytest.raises(UserError, match=r"has not learned to end corrections.*warmup_steps"):
        train(tmp_path, settings, PLAIN_FORMAT)
    assert not (tmp_path / "model").exists()
    assert "warmup_steps 500" in caplog.text and "never reaches" in caplog.text
