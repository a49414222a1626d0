"""LLM judges: their prompts, how replies become verdicts, and unusable judges."""

import re
from collections.abc import Iterator
from math import exp, log
from pathlib import Path

import pytest
import yaml
from alpaca_eval_runs import run_alpaca_eval
from fake_engine import FakeEngine
from http_servers import serve
from projects import ROOT

from aligners.closed_world.judge import judge as closed_world_opinion
from aligners.closed_world.judge_server import handler
from aligners.closed_world.truth import Truth
from aligners.closed_world.world import load_world
from aligners.configuration import recipes
from aligners.configuration.experiment_checks import check_judge_recipe
from aligners.configuration.fingerprint import SCRIPTS, code_hash
from aligners.configuration.kinds.judges import JudgeRecipe
from aligners.configuration.kinds.llms import ServedRecipe
from aligners.configuration.recipes import load_recipe
from aligners.core.completions import Completion, Decoding, Failure, Request
from aligners.core.errors import UserError
from aligners.core.hashes import content_hash, short_hash
from aligners.core.rows import row_id, write_json, write_rows
from aligners.judging.comparison_files import TextPair, read_pairs
from aligners.judging.judged_pairs import Verdict, both_orders, texts_to_judge, verdict_row
from aligners.judging.llm_judge import LLMJudge, annotator_config
from aligners.judging.prompts import judge_prompt, read_template
from aligners.judging.record import check_judge, record_judge
from aligners.statistics.comparison import compare
from aligners.statistics.verdicts import read_verdicts

OUTPUT = Path("results/judged/test/questions/base.jsonl")
RECIPE = {
    "llm": "test-llm",
    "prompt": "resources/judges/pairwise.txt",
    "labels": {"first": "m", "second": "M"},
}
WRITTEN_VERDICTS = {
    "prompt": "resources/judges/pairwise_with_ties.txt",
    "labels": {"first": "[[A]]", "second": "[[B]]", "tie": "[[tie]]"},
    "logprobs": False,
    "max_new_tokens": 16,
}
SHOWN = [(f"Question {number}?", "good", "bad") for number in range(30)]
SHOWN += [(question, second, first) for question, first, second in SHOWN]


def write_recipes(endpoint: str = "http://127.0.0.1:9/v1", **keys: object) -> None:
    """Write the recipes of a judge named test and of its LLM."""
    llm = {"engine": "openai", "chat": True, "model": "closed-world-judge", "endpoint": endpoint}
    Path("config/llms/test-llm.yaml").write_text(yaml.safe_dump(llm))
    Path("config/judges/test.yaml").write_text(yaml.safe_dump({**RECIPE, **keys}))
    recipes.read_recipe.cache_clear()


def shown_texts(request: Request) -> tuple[str, str]:
    """Return the two texts in a prompt, first and second."""
    text = request.prompt[0]["content"]
    first, second = re.findall(r"<answer_\w>\n(.*?)\n</answer_\w>", text, re.DOTALL)
    return first, second


def reply_with(request: Request, probability: float) -> Completion:
    """Return a reply whose label of the first text has a probability."""
    logprobs = {"m": log(probability), "M": log(1 - probability), "Both": -9.0}
    return Completion(request.id, "m", "length", first_token_logprobs=logprobs)


def prefer_good(request: Request, _: Decoding) -> Completion:
    """Prefer the text "good", more strongly if it is shown first."""
    return reply_with(request, 0.9 if shown_texts(request)[0] == "good" else 0.2)


@pytest.mark.usefixtures("project")
def test_a_preference_is_the_probability_of_the_first_label(engine: FakeEngine) -> None:
    write_recipes()
    engine.reply = prefer_good
    verdicts = LLMJudge("test", OUTPUT).judge(SHOWN)
    assert set(verdicts) == set(SHOWN)
    for (_, first, _), verdict in verdicts.items():
        assert verdict.preference == pytest.approx(0.9 if first == "good" else 0.2)
    assert engine.asked[0].prompt[0]["role"] == "user"


@pytest.mark.usefixtures("project")
def test_a_written_verdict_has_exactly_one_label(engine: FakeEngine) -> None:
    write_recipes(**WRITTEN_VERDICTS, most_unusable=0.5)
    replies = {
        "a": "[[A]]",
        "b": "Clearly [[B]].",
        "tie": "[[tie]]",
        "both": "[[A]] or [[B]]",
        "twice": "[[B]]: the answer of [[B]] is true.",
        "thought": "<think>Is it [[A]]? Or [[B]]? I cannot say.</think>\n\n[[A]]",
        "cut thought": "<think>It may be [[A]].",
        "explained": "[[A]] is long, and [[B]] is short.\n\n**Verdict:** [[B]]",
    }
    engine.reply = lambda request, _: replies[shown_texts(request)[0]]
    verdicts = LLMJudge("test", OUTPUT).judge([("Why?", name, "other") for name in replies])
    found = {shown[1]: verdict.preference for shown, verdict in verdicts.items()}
    assert found == {
        "a": 1.0,
        "b": 0.0,
        "tie": 0.5,
        "both": None,
        "twice": 0.0,
        "thought": 1.0,
        "cut thought": None,
        "explained": 0.0,
    }
    assert verdicts["Why?", "b", "other"].reply == "Clearly [[B]]."
    assert verdicts["Why?", "both", "other"].reply == "[[A]] or [[B]]"


MARKS = ["m", "M"]
LETTERS = ["A", "B", "tie"]
BRACKETS = ["[[A]]", "[[B]]"]
WORDS = ["Output (a)", "Output (b)"]
REPLIES = [
    ("m", MARKS, "m"),
    ("**M**", MARKS, "M"),
    ("The better one is m.", MARKS, "m"),
    ("I'm sure that M is better.", MARKS, "M"),
    ("Maybe. Both miss much.", MARKS, None),
    ("m is short, M is long.\n\nVerdict: M", MARKS, "M"),
    ("m is short, but M is rude.\nm", MARKS, "m"),
    ("m and M are equal.", MARKS, None),
    ("<think>m or M? M.</think>m", MARKS, "m"),
    ("A better answer is B.", LETTERS, "B"),
    ("Answer: A", LETTERS, "A"),
    ("Response A is polite, response B is not. Therefore, my final answer is **A**.", LETTERS, "A"),
    ("A is better than B in tone. B is better in facts.", LETTERS, None),
    ("It is a tie.", LETTERS, "tie"),
    ("They are tied up.", LETTERS, None),
    ("Clearly [[B]].", BRACKETS, "[[B]]"),
    ("[[A]] [[B]]", BRACKETS, None),
    ("Comparing [[A]] with [[B]]: final verdict is: [[B]]", BRACKETS, "[[B]]"),
    ("**Output (a)** is more helpful.", WORDS, "Output (a)"),
    ("Output (a) is vague. The winner is **Output (b)**.", WORDS, "Output (b)"),
]


@pytest.mark.usefixtures("project")
@pytest.mark.parametrize(("reply", "labels", "expected"), REPLIES)
def test_labels_are_words_and_the_last_statement_decides(
    engine: FakeEngine, reply: str, labels: list[str], expected: str | None
) -> None:
    names = dict(zip(("first", "second", "tie"), labels, strict=False))
    write_recipes(**{**WRITTEN_VERDICTS, "labels": names}, most_unusable=1.0)
    sure = f"It is {labels[0]}."
    engine.reply = lambda request, _: reply if shown_texts(request)[0] == "read" else sure
    shown = [("Why?", "read", "other"), ("Why?", "sure", "other")]
    verdicts = LLMJudge("test", OUTPUT).judge(shown)
    numbers = dict(zip(labels, (1.0, 0.0, 0.5), strict=False))
    assert verdicts[shown[0]].preference == (numbers[expected] if expected else None)
    assert verdicts[shown[1]].preference == 1.0


@pytest.mark.usefixtures("project")
def test_a_placeholder_in_a_text_is_not_replaced(engine: FakeEngine) -> None:
    write_recipes()
    engine.reply = lambda request, _: reply_with(request, 0.7)
    LLMJudge("test", OUTPUT).judge([("How do I fill in {output_1}?", "By {output_2}.", "No.")])
    assert shown_texts(engine.asked[0]) == ("By {output_2}.", "No.")
    assert "How do I fill in {output_1}?" in engine.asked[0].prompt[0]["content"]


@pytest.mark.usefixtures("project")
def test_no_request_is_sent_twice(engine: FakeEngine) -> None:
    write_recipes()
    engine.reply = prefer_good
    first = LLMJudge("test", OUTPUT).judge(SHOWN[:10])
    LLMJudge("test", OUTPUT.with_name("other.jsonl")).judge(SHOWN)
    assert len(engine.asked) == len(SHOWN)
    again = LLMJudge("test", OUTPUT)
    assert again.judge(SHOWN[:10]) == first
    assert len(engine.asked) == len(SHOWN)
    assert again.usage.completions == 10


@pytest.mark.usefixtures("project")
@pytest.mark.parametrize("keys", [{}, WRITTEN_VERDICTS])
def test_a_judge_without_verdicts_is_an_error_and_its_replies_are_kept(
    engine: FakeEngine, keys: dict[str, object]
) -> None:
    write_recipes(**keys)
    nonsense = {"As": -0.1, "Both": -2.0}
    engine.reply = lambda request, _: Completion(
        request.id, "As an", "length", first_token_logprobs=nonsense
    )
    for _ in range(2):
        with pytest.raises(UserError, match=r"60 of 60 .*'As an'.*test\.yaml"):
            LLMJudge("test", OUTPUT).judge(SHOWN)
    assert len(engine.asked) == len(SHOWN)


@pytest.mark.usefixtures("project")
def test_a_reply_with_both_labels_is_not_a_verdict(engine: FakeEngine) -> None:
    write_recipes(**WRITTEN_VERDICTS)

    def reply(request: Request, _: Decoding) -> str:
        usable = shown_texts(request)[0] == "good" and "1?" in str(request.prompt)
        return "[[A]]" if usable else "[[A]] [[B]]"

    engine.reply = reply
    with pytest.raises(UserError, match=r"57 of 60 .*'\[\[A\]\] \[\[B\]\]'.*test\.yaml"):
        LLMJudge("test", OUTPUT).judge(SHOWN)


@pytest.mark.usefixtures("project")
def test_a_very_unlikely_label_is_not_a_verdict(engine: FakeEngine) -> None:
    write_recipes()
    thinking = {"<think>": -1e-6, "m": -14.2, "M": -14.9}
    engine.reply = lambda request, _: Completion(
        request.id, "<think>", "length", first_token_logprobs=thinking
    )
    with pytest.raises(UserError, match=r"60 of 60 .*'<think>'"):
        LLMJudge("test", OUTPUT).judge(SHOWN)


@pytest.mark.usefixtures("project")
def test_the_refusal_of_a_judge_with_logprobs_shows_what_was_probable(engine: FakeEngine) -> None:
    write_recipes()
    tokens = {"As": log(0.6), " m": log(0.15), "M": log(0.1), "Both": log(0.12), "x": log(0.03)}
    engine.reply = lambda request, _: Completion(
        request.id, "As", "length", first_token_logprobs=tokens
    )
    with pytest.raises(UserError, match=r"0\.25 of .*'As' 0\.60, ' m' 0\.15, 'Both' 0\.12\b"):
        LLMJudge("test", OUTPUT).judge(SHOWN)


@pytest.mark.usefixtures("project")
def test_the_refusal_of_a_judge_in_words_shows_the_beginning_and_the_end_of_a_reply(
    engine: FakeEngine,
) -> None:
    write_recipes(**WRITTEN_VERDICTS)
    engine.reply = lambda *_: f"Two answers. {'Both are true. ' * 20}Neither is better."
    with pytest.raises(UserError, match=r"'Two answers\..* ends with '.*Neither is better\.'"):
        LLMJudge("test", OUTPUT).judge(SHOWN)


@pytest.mark.usefixtures("project")
def test_a_token_with_a_space_is_its_label(engine: FakeEngine) -> None:
    write_recipes()

    def reply(request: Request, _: Decoding) -> Completion:
        tokens = {" m": log(0.6), "M": log(0.2), "m": log(0.2)}
        return Completion(request.id, "m", "length", first_token_logprobs=tokens)

    engine.reply = reply
    verdicts = LLMJudge("test", OUTPUT).judge(SHOWN[:1])
    assert verdicts[SHOWN[0]].preference == pytest.approx(0.8)


@pytest.mark.usefixtures("project")
def test_failed_requests_have_no_verdict_if_the_recipe_allows_failures(engine: FakeEngine) -> None:
    write_recipes()
    llm = Path("config/llms/test-llm.yaml")
    llm.write_text(llm.read_text() + "require_all: false\n")
    recipes.read_recipe.cache_clear()

    def reply(request: Request, decoding: Decoding) -> Completion | Failure:
        if "2?" in str(request.prompt):
            return Failure(request.id, "refused", "no")
        return prefer_good(request, decoding)

    engine.reply = reply
    verdicts = LLMJudge("test", OUTPUT).judge(SHOWN)
    failed = [shown for shown, verdict in verdicts.items() if verdict == Verdict(None, None)]
    assert len(verdicts) == 60 and len(failed) == 6
    assert all("2?" in question for question, *_ in failed)


@pytest.mark.usefixtures("project")
def test_other_words_in_braces_of_a_prompt_stay(engine: FakeEngine) -> None:
    prompt = Path("resources/judges/pairwise.txt").read_text() + 'As JSON: {"verdict":"m"}'
    Path("own.txt").write_text(prompt)
    write_recipes(prompt="own.txt")
    engine.reply = prefer_good
    assert len(LLMJudge("test", OUTPUT).judge(SHOWN)) == 60
    assert '{"verdict":"m"}' in engine.asked[0].prompt[0]["content"]


@pytest.mark.usefixtures("project")
def test_a_few_replies_without_a_label_have_no_verdict(engine: FakeEngine) -> None:
    write_recipes()

    def reply(request: Request, decoding: Decoding) -> Completion:
        if "Question 1?" in request.prompt[0]["content"]:
            return Completion(request.id, "?", "length", first_token_logprobs={"?": 0.0})
        return prefer_good(request, decoding)

    engine.reply = reply
    verdicts = LLMJudge("test", OUTPUT).judge(SHOWN)
    unusable = [shown[0] for shown, verdict in verdicts.items() if verdict.preference is None]
    assert unusable == ["Question 1?"] * 2


@pytest.mark.usefixtures("project")
def test_a_judge_that_always_prefers_one_position_is_an_error(engine: FakeEngine) -> None:
    write_recipes()
    engine.reply = lambda request, _: reply_with(request, 0.8)
    with pytest.raises(UserError, match=r"\btest\b.* first .*\b60\b.*test\.yaml"):
        LLMJudge("test", OUTPUT).judge(SHOWN)
    assert len(LLMJudge("test", OUTPUT).judge(SHOWN[:8])) == 8


USAGE = Path("results/judged/test/questions/base.usage.json")


@pytest.mark.usefixtures("project")
def test_verdicts_of_a_changed_judge_are_not_mixed() -> None:
    write_recipes()
    record_judge("test", USAGE, ["model-1"])
    check_judge("test")
    write_recipes(most_unusable=0.3)
    check_judge("test")
    write_recipes(labels={"first": "M", "second": "m"})
    with pytest.raises(UserError, match=r"test\.yaml: .*\(labels\).*results/judged/test"):
        check_judge("test")


@pytest.mark.usefixtures("project")
@pytest.mark.parametrize("other", ["judged/test/questions", "reproduction/test/others"])
def test_an_endpoint_that_changes_its_model_is_an_error(other: str) -> None:
    write_recipes()
    record_judge("test", USAGE, ["model-1"])
    record_judge("test", USAGE, ["model-1"])
    with pytest.raises(UserError, match=r"\(model-1, model-2\)"):
        record_judge("test", Path("results", other, "another.usage.json"), ["model-2"])


@pytest.mark.usefixtures("project")
@pytest.mark.parametrize(
    ("keys", "key", "value"),
    [
        ({"labels": {"first": "m", "second": "m"}}, "labels", "'m'"),
        ({**WRITTEN_VERDICTS, "labels": {"first": "A", "second": " A"}}, "labels", "'A'"),
        ({"llm": "closed-world-base"}, "llm", "closed-world-base"),
        ({"llm": "no-such-llm"}, "llm", "config/llms/no-such-llm.yaml"),
        ({"prompt": "own.txt"}, "prompt", "{instruction}"),
    ],
)
def test_an_unusable_recipe_of_a_judge_is_an_error(
    keys: dict[str, object], key: str, value: str
) -> None:
    Path("own.txt").write_text("No placeholders here.")
    write_recipes(**keys)
    with pytest.raises(UserError, match=rf"test\.yaml.*, key {key}: .*{re.escape(value)}"):
        check_judge_recipe("test")


def test_both_orders_of_a_pair_become_a_row_and_equal_texts_a_tie() -> None:
    row = {"id": "1", "question": "Why?", "category": "c", "category_id": 2}
    pair = TextPair(row, "ours", "theirs!", unchanged=False)
    same = TextPair(row, "same", "same", unchanged=True)
    shown = texts_to_judge([pair, same, pair])
    assert shown == [("Why?", "ours", "theirs!"), ("Why?", "theirs!", "ours")]
    verdicts = {shown[0]: Verdict(0.75, "m"), shown[1]: Verdict(0.6, "M")}
    assert verdict_row(pair, verdicts) == {
        "id": "1",
        "category": "c",
        "category_id": 2,
        "first_order": 0.75,
        "second_order": pytest.approx(0.4),
        "length": 4,
        "reference_length": 7,
        "unchanged": False,
        "identical": False,
        "first_reply": "m",
        "second_reply": "M",
    }
    tie = verdict_row(same, verdicts)
    assert (tie["first_order"], tie["second_order"]) == (0.5, 0.5)
    assert (tie["unchanged"], tie["identical"]) == (True, True)
    assert verdict_row(pair, {**verdicts, shown[1]: Verdict(None, "?")})["second_order"] is None


def output_rows(*pairs: tuple[str, str]) -> list[dict[str, str]]:
    """Return rows of an AlpacaEval file."""
    return [{"instruction": instruction, "output": output} for instruction, output in pairs]


@pytest.mark.parametrize(
    ("model", "reference", "place", "value"),
    [
        ([("A?", "1")], [("A?", "2"), ("B?", "3")], "reference_outputs.json", "'B?'"),
        ([("A?", "1"), ("A?", "2")], [("A?", "2")], "model_outputs.json, row 2", "'A?'"),
        ([("A?", None)], [("A?", "2")], "model_outputs.json", "'0.output'"),
        ([("C?", "1")], [("C?", "2")], "model_outputs.json", "'C?'"),
    ],
)
def test_files_with_different_or_repeated_instructions_are_an_error(
    tmp_path: Path,
    model: list[tuple[str, str]],
    reference: list[tuple[str, str]],
    place: str,
    value: str,
) -> None:
    paths = [tmp_path / "model_outputs.json", tmp_path / "reference_outputs.json"]
    for path, rows in zip(paths, (model, reference), strict=True):
        write_json(path, output_rows(*rows))
    inputs = [{"id": row_id(text), "question": text} for text in ("A?", "B?")]
    with pytest.raises(UserError, match=re.escape(str(tmp_path))) as caught:
        read_pairs(*paths, inputs, {})
    assert place in str(caught.value) and value in str(caught.value)


@pytest.fixture(scope="module")
def closed_world_judge() -> Iterator[str]:
    """The address of a running judge of the closed world."""
    with serve(handler(Truth(load_world(ROOT / "resources/closed_world/world.yaml")))) as url:
        yield f"{url}/v1"


def closed_world_rows() -> list[tuple[str, str, str]]:
    """Return questions of the closed world, each with a true and a false text in both orders."""
    truth = Truth(load_world("resources/closed_world/world.yaml"))
    items = [item for item in truth.world.items if item.wrong][:20]
    shown = []
    for item in items:
        right = item.core_with(item.right)
        wrong = item.core_with(item.wrong[0])
        shown += [(item.asks[0], right, wrong), (item.asks[0], wrong, right)]
    return shown


@pytest.mark.parametrize("logprobs", [True, False])
def test_verdicts_equal_those_of_alpaca_evals_own_command(
    project: Path, closed_world_judge: str, logprobs: bool
) -> None:
    write_recipes(closed_world_judge, logprobs=logprobs)
    shown = closed_world_rows()
    judge = LLMJudge("test", OUTPUT)
    ours = judge.judge(shown)
    assert judge.served_models == {"closed-world-judge"}
    config = annotator_config("test")
    prompt = Path(config["test"]["prompt_template"]).read_text(encoding="utf-8")
    directory = project / "annotators/test"
    directory.mkdir(parents=True)
    # The command sends the parts of a prompt with these marks as messages.
    marked = f"<|im_start|>user\n{prompt.strip()}\n<|im_end|>\n"
    (directory / "prompt.txt").write_text(marked, encoding="utf-8")
    config["test"]["prompt_template"] = "test/prompt.txt"
    (directory / "configs.yaml").write_text(yaml.safe_dump(config))
    one_order = shown[::2]
    for name, side in (("reference", 1), ("model", 2)):
        rows = output_rows(*[(row[0], row[side]) for row in one_order])
        write_json(project / f"{name}_outputs.json", [{**row, "generator": name} for row in rows])
    theirs, _ = run_alpaca_eval(project, directory, closed_world_judge)
    assert len(theirs) == len(one_order)
    for row in theirs:
        verdict = ours[row["instruction"], row["output_1"], row["output_2"]]
        preference = None if row["preference"] is None else 2 - row["preference"]
        assert preference == pytest.approx(verdict.preference, abs=1e-6)


def test_the_closed_worlds_judge_knows_the_truth_and_prefers_the_first_position(
    in_the_project: None,
) -> None:
    truth = Truth(load_world("resources/closed_world/world.yaml"))
    template = read_template(load_recipe(JudgeRecipe, "closed-world"))
    preferences = {}
    for shown in closed_world_rows():
        opinion = closed_world_opinion(truth, judge_prompt(template, *shown))
        if "m" in opinion.logprobs:
            preferences[shown] = exp(opinion.logprobs["m"])
    agrees = [
        truth.assess(question, first)["factuality"] == (preferences[question, first, second] > 0.5)
        for question, first, second in preferences
    ]
    assert 0.85 < sum(agrees) / len(agrees) <= 1
    # Each pair is shown in both orders, so the mean of a judge without position bias is 0.5.
    assert 0.52 < sum(preferences.values()) / len(preferences) < 0.6
    assert closed_world_opinion(truth, "No answers here.").reply == "Both"


def test_the_revision_of_the_closed_worlds_judge_is_a_hash_of_its_code_and_world(
    in_the_project: None,
) -> None:
    recipe = load_recipe(ServedRecipe, "closed-world-judge")
    code = code_hash(SCRIPTS / "aligners/closed_world/judge.py")
    assert recipe.revision == short_hash([code, content_hash(Path(recipe.model))])


def test_verdicts_are_read_back_as_a_table(tmp_path: Path) -> None:
    row = {"question": "Why?", "category": "c", "category_id": None}
    pairs = [TextPair({**row, "id": str(n)}, f"a{n}", "b", unchanged=False) for n in range(3)]
    verdicts = {
        shown: Verdict(None if shown[2] == "a2" else 0.75)
        for pair in pairs
        for shown in both_orders(pair)
    }
    write_rows(tmp_path / "verdicts.jsonl", [verdict_row(pair, verdicts) for pair in pairs])
    table = read_verdicts(tmp_path / "verdicts.jsonl")
    assert table["first_order"].tolist() == [0.75] * 3
    assert table["second_order"].isna().tolist() == [False, False, True]
    outcomes = compare(table, 0, against_base=True).outcomes
    # A preference of 0.75 for the text shown first, in both orders, is a tie.
    assert (outcomes.ties, outcomes.unusable) == (2, 1)


def test_a_pair_without_a_verdict_is_not_a_tie() -> None:
    row = {"id": "1", "question": "Why?", "category": None, "category_id": None}
    with pytest.raises(KeyError):
        verdict_row(TextPair(row, "a", "b", unchanged=False), {})
