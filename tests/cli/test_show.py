"""`aligners show`: the printed rows of a file of answers, the filters, and the errors."""

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from turns import make_row, make_turn

from aligners.cli.main import main
from aligners.core.formats import is_hidden
from aligners.core.rows import Row, write_rows
from aligners.correction.word_diff import changed_spans

SQUAD = Path("results/aligned/mixed/some-llm/gpt2/squad.jsonl")
RESPONSES = Path("results/responses/mixed/some-llm.jsonl")
Show = Callable[..., str]


def answer(id: str, question: str, response: str, aligned: str, trace: list[Row]) -> Row:
    return make_row(id, trace, question=question, response=response, aligned_response=aligned)


RUDE_AND_WRONG = answer(
    "aa",
    "Where is the capital of Australia?",
    "It is Melbourne. It was planned. Stop asking.",
    "It is Canberra. It was planned.",
    [
        make_turn(
            "factuality",
            {"ethical": 0.001, "factuality": 0.02},
            {"ethical": 0.002, "factuality": 0.97},
        ),
        make_turn("ethical", {"ethical": 0.002, "factuality": 0.97}, {"ethical": 0.9996}),
    ],
)
REJECTED = answer(
    "bb",
    "How long does an egg need?",
    "An hour.",
    "An hour.",
    [make_turn("factuality", {"ethical": 0.9, "factuality": 0.4964}, {"factuality": 0.4962},
               "rose_too_little")],
)  # fmt: skip
UNTOUCHED = answer("cc", "Is Straße a word?", "Yes.", "Yes.", [])
CATEGORIES = {"aa": "Cities", "bb": "Kitchen", "cc": None}


@pytest.fixture
def show(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Show:
    """Call the command in a directory with the results of a squad, and return its output."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    for name in ("FORCE_COLOR", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)
    write_rows(SQUAD, [RUDE_AND_WRONG, REJECTED, UNTOUCHED])
    inputs = [{"id": id, "category": category} for id, category in CATEGORIES.items()]
    write_rows(Path("results/inputs/mixed.jsonl"), inputs)

    def call(*arguments: Any) -> str:
        monkeypatch.setattr("sys.argv", ["aligners", "show", *map(str, arguments)])
        main()
        return capsys.readouterr().out

    return call


def shown_ids(output: str) -> list[str]:
    """Return the ids in the rules above the rows, in order."""
    return [line.split()[0] for line in output.splitlines() if line.endswith("──")]


# The output


def test_a_row_is_printed_with_changes_scores_and_trace(show: Show) -> None:
    assert show(SQUAD, "--rows", 1) == (
        "aa · Cities ────────────────────────────────────────────────────────────────────\n"
        "question  Where is the capital of Australia?\n"
        "before    It is [-Melbourne.-] It was planned. [-Stop asking.-]\n"
        "  scores  ethical 0.001   factuality 0.020\n"
        "after     It is {+Canberra.+} It was planned.\n"
        "  scores  ethical 1.000   factuality 0.970\n"
        "trace     1. factuality  0.020 → 0.970  margin -3.9 → +3.5  accepted\n"
        "          2. ethical     0.002 → 1.000  margin -6.2 → +7.8  accepted\n"
        "\n"
        "3 of 3 rows match, 1 shown.\n"
    )


def test_a_rejected_turn_shows_scores_with_digits_that_differ(show: Show) -> None:
    output = show(SQUAD, "--id", "bb")
    assert "  scores  ethical 0.900   factuality 0.496\nafter     (unchanged)\ntrace" in output
    assert "1. factuality  0.4964 → 0.4962  margin -0.0 → -0.0  rejected: the" in output
    assert "-: " not in output


def test_scores_after_a_rejected_last_turn_are_those_of_the_final_text(show: Show) -> None:
    scores = {"ethical": 0.002, "factuality": 0.97}
    rejected = make_turn("ethical", scores, {"ethical": 0.0001}, "rose_too_little")
    trace = [RUDE_AND_WRONG["trace"][0], rejected]
    write_rows(SQUAD, [{**RUDE_AND_WRONG, "trace": trace}])
    assert "  scores  ethical 0.002   factuality 0.970\ntrace" in show(SQUAD)


def test_small_scores_are_distinguishable(show: Show) -> None:
    tiny = make_turn("ethical", {"ethical": 3.82e-32}, {"ethical": 6.15e-34}, "rose_too_little")
    same = make_turn("ethical", {"ethical": 0.0}, {"ethical": 0.0}, "rose_too_little")
    write_rows(SQUAD, [{**REJECTED, "trace": [tiny, same]}])
    output = show(SQUAD)
    assert "3.82e-32 → 6.15e-34  margin -72.3 → -76.5" in output
    assert "0.000 → 0.000  margin -92.1 → -92.1" in output


def test_a_correction_that_lowers_another_score_names_it(show: Show) -> None:
    scores = {"ethical": 0.95, "factuality": 0.4}
    after = {"ethical": 0.05, "factuality": 0.99}
    worse = make_turn("factuality", scores, after, "lowers_another", lowered="ethical")
    write_rows(SQUAD, [{**REJECTED, "trace": [worse]}])
    output = " ".join(show(SQUAD).split())
    assert "rejected: another score falls below its threshold: ethical 0.950 → 0.050" in output


def test_a_correction_with_a_problem_has_no_score(show: Show) -> None:
    empty = make_turn("ethical", {"ethical": 0.4}, None, "empty", text="")
    loop = make_turn("ethical", {"ethical": 0.4}, None, "loops", text="No. No. No.")
    write_rows(SQUAD, [{**REJECTED, "trace": [empty, loop]}])
    assert show(SQUAD).splitlines()[-5:-1] == [
        "trace     1. ethical  0.400  rejected: the correction is empty",
        "          2. ethical  0.400  rejected: the correction repeats itself",
        "             No. No. No.",
        "",
    ]


def test_a_response_without_a_turn_gets_a_note(show: Show) -> None:
    assert show(SQUAD, "--id", "cc").splitlines()[2:6] == [
        "before    Yes.",
        "  scores  ethical 0.900   factuality 0.900",
        "after     (unchanged)",
        "trace     no aligner acted: no score was below its threshold",
    ]


def test_a_response_that_an_inspector_cannot_read_has_no_score_of_it(show: Show) -> None:
    scores = {"ethical": 0.2, "factuality": None}
    write_rows(SQUAD, [{**UNTOUCHED, "scores": scores, "reason": "question_too_long"}])
    output = show(SQUAD)
    assert "  scores  ethical 0.200   factuality     -\n" in output
    assert "no aligner acted: the question leaves an inspector no room" in output
    assert "\n-: the inspector cannot read the response.\n" in output
    assert "1 of 1 rows match" in show(SQUAD, "--lower-than", "0.3")
    assert "0 of 1 rows match" in show(SQUAD, "--lower-than", "0.1")


def test_a_single_aligner_has_no_scores(show: Show) -> None:
    texts = {"question": "Why?", "response": "No idea.", "aligned_response": "Because."}
    acted = make_turn("ethical", None, None)
    failed = make_turn("ethical", None, None, "not_ended", text="Beca")
    write_rows(SQUAD.with_name("ethical.jsonl"), [{"id": "dd", **texts, "trace": [acted, failed]}])
    output = show(SQUAD.with_name("ethical.jsonl"))
    assert "trace     1. ethical  acted" in output
    assert "2. ethical  rejected: the correction reached the limit" in output
    assert "scores" not in output


def test_a_rejected_correction_is_shown(show: Show) -> None:
    rejected = {**REJECTED["trace"][0], "aligned_response": "Go away, then."}
    write_rows(SQUAD, [{**REJECTED, "trace": [rejected]}])
    assert re.search(r"1\. factuality .* rejected: .*\n.*\n +Go away, then\.\n", show(SQUAD))


def test_external_corrections_have_no_trace(show: Show) -> None:
    path = Path("results/external/mixed/some-llm/ji.jsonl")
    write_rows(
        path,
        [{key: RUDE_AND_WRONG[key] for key in ("id", "question", "response", "aligned_response")}],
    )
    output = show(path)
    assert "after     It is {+Canberra.+} It was planned.\n\n1 of 1 rows match" in output
    assert shown_ids(output) == ["aa"] and "Cities" in output


@pytest.mark.parametrize("path", [RESPONSES, RESPONSES.with_suffix("") / "0.jsonl"])
def test_files_of_responses_have_one_text_per_row(show: Show, path: Path) -> None:
    rows = [{"id": "aa", "question": "Why?", "response": "So."}]
    write_rows(path, [*rows, {"id": "zz", "question": "Who?", "response": ""}])
    assert [line for line in show(path).splitlines() if not line.endswith("──")] == [
        *("question  Why?", "response  So.", ""),
        *("question  Who?", "response  (empty)", ""),
        "2 of 2 rows match, 2 shown.",
    ]
    assert "Cities" in show(path)


@pytest.mark.parametrize(
    ("before", "after", "printed"),
    [
        ("", "Yes.", ["before    (empty)", "after     {+Yes.+}"]),
        ("Yes.", "", ["before    [-Yes.-]", "after     (empty)"]),
        ("", "", ["before    (empty)", "after     (unchanged)"]),
        ("a b", "a  b", ["before    a b", "after     a  b (only white space differs)"]),
        ("one\n\ntwo ", "one\n\nsix", ["before    one", "", "          [-two-]", "after     one"]),
    ],
)
def test_unusual_texts_are_printed(show: Show, before: str, after: str, printed: list[str]) -> None:
    texts = {"question": "Why?", "response": before, "aligned_response": after}
    write_rows(SQUAD, [{"id": "aa", **texts}])
    assert show(SQUAD).splitlines()[2 : 2 + len(printed)] == printed


def test_colours_replace_brackets(show: Show, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm-256color")
    output = show(SQUAD, "--id", "aa")
    assert "\x1b[1;31mMelbourne.\x1b[0m" in output and "\x1b[1;32mCanberra.\x1b[0m" in output
    assert "[-" not in output
    monkeypatch.setenv("NO_COLOR", "1")
    output = show(SQUAD, "--id", "aa")
    assert "[-Melbourne.-]" in output and "{+Canberra.+}" in output and "\x1b[1;3" not in output


@pytest.mark.parametrize("width", [12, 80, 120])
def test_long_texts_are_wrapped_next_to_their_label(
    show: Show, monkeypatch: pytest.MonkeyPatch, width: int
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    words = [f"word{number}" for number in range(200)]
    write_rows(SQUAD, [answer("aa", "Why?", "", " ".join(words), [])])
    lines = show(SQUAD).splitlines()
    first = lines.index(next(line for line in lines if line.startswith("after")))
    text = [line[10:] for line in lines[first : lines.index("", first)]]
    assert " ".join(text).startswith("{+word0 ") and all(word in " ".join(text) for word in words)
    assert max(map(len, text)) <= max(width - 10, 10)
    assert not any(line.endswith(" ") for line in text)
    assert {line[:10] for line in lines[first + 1 : first + 10]} == {" " * 10}


def test_a_text_controls_neither_the_terminal_nor_the_format(show: Show) -> None:
    write_rows(SQUAD, [answer("aa", "[bold]Why?[/bold] :smile:", "\x1b[2J\a\x9b1m", "[/no]", [])])
    output = show(SQUAD)
    assert "question  [bold]Why?[/bold] :smile:" in output
    assert r"before    [-\x1b[2J\x07\x9b1m-]" in output and "after     {+[/no]+}" in output


def test_hidden_characters_are_shown(show: Show) -> None:
    hidden = "\u202eno\u2066w\x1b[2J\u200b"
    rejected = make_turn(hidden, {hidden: 0.9}, {hidden: 0.1}, "rose_too_little", text=hidden)
    row = answer("aa", f"one\n\ttwo{hidden}", hidden, "", [rejected])
    write_rows(SQUAD, [row])
    write_rows(Path("results/inputs/mixed.jsonl"), [{"id": "aa", "category": f"{hidden}\n"}])
    output = show(SQUAD)
    assert [character for character in set(output) if is_hidden(character)] == ["\n"]
    shown = r"\u202eno\u2066w\x1b[2J\u200b"
    assert output.count(shown) == 6
    assert rf"aa · {shown}\n ─" in output
    with pytest.raises(SystemExit) as caught:
        show(SQUAD, "--category", "Cities")
    assert shown in str(caught.value)
    assert hidden not in str(caught.value)


# Filters


@pytest.mark.parametrize(
    ("filters", "ids"),
    [
        ([], ["aa", "bb", "cc"]),
        (["--changed"], ["aa"]),
        (["--unchanged"], ["bb", "cc"]),
        (["--category", "kitchen"], ["bb"]),
        (["--search", "CAPITAL"], ["aa"]),
        (["--search", "hour"], ["bb"]),
        (["--search", "canberra"], ["aa"]),
        (["--search", "STRASSE"], ["cc"]),
        (["--id", "cc"], ["cc"]),
        (["--acted", "ethical"], ["aa"]),
        (["--acted", "Factuality"], ["aa", "bb"]),
        (["--rejected"], ["bb"]),
        (["--lower-than", "0.1"], ["aa"]),
        (["--lower-than", "0.5"], ["aa", "bb"]),
        (["--acted", "factuality", "--unchanged"], ["bb"]),
        (["--id", "dd"], []),
    ],
)
def test_filters_select_rows(show: Show, filters: list[str], ids: list[str]) -> None:
    output = show(SQUAD, *filters)
    assert shown_ids(output) == ids
    assert output.endswith(f"{len(ids)} of 3 rows match, {len(ids)} shown.\n")


def test_the_first_rows_or_a_seeded_sample_are_shown(show: Show) -> None:
    write_rows(RESPONSES, [{"id": f"{n:02}", "question": "?", "response": "!"} for n in range(40)])
    first = [f"{n:02}" for n in range(40)]
    assert shown_ids(show(RESPONSES)) == first[:10]
    assert shown_ids(show(RESPONSES, "--rows", 3)) == first[:3]
    sample = shown_ids(show(RESPONSES, "--rows", 5, "--seed", 0))
    assert len(set(sample)) == 5 and sample != first[:5]
    assert shown_ids(show(RESPONSES, "--rows", 5, "--seed", 0)) == sample
    assert shown_ids(show(RESPONSES, "--rows", 5, "--seed", 1)) != sample
    assert show(RESPONSES, "--rows", 0) == "40 of 40 rows match, 0 shown.\n"


def test_an_empty_file_has_no_rows(show: Show) -> None:
    write_rows(SQUAD, [])
    assert show(SQUAD, "--changed") == "0 of 0 rows match, 0 shown.\n"


def test_without_inputs_there_is_no_category(show: Show, tmp_path: Path) -> None:
    write_rows(tmp_path / "copied.jsonl", [RUDE_AND_WRONG])
    assert "Cities" not in show("copied.jsonl") and "aa ──" in show("copied.jsonl")


def test_categories_are_found_from_any_directory(
    show: Show, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(SQUAD.parent)
    assert "aa · Cities ──" in show("squad.jsonl")


# Errors


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (["results/none.jsonl"], ["results/none.jsonl"]),
        ([SQUAD.parent], ["some-llm/gpt2", ".jsonl"]),
        (["results/scorecard.json"], ["scorecard.json", ".jsonl"]),
        (["results/inputs/mixed.jsonl"], ["results/inputs/mixed.jsonl, line 1", "'question'"]),
        (["damaged.jsonl"], ["damaged.jsonl, line 2"]),
        (["half.jsonl"], ["half.jsonl, line 2", "'aligned_response'"]),
        (["kind.jsonl"], ["kind.jsonl, line 1", "'response'"]),
        (["turns.jsonl"], ["turns.jsonl, line 1", "'trace.0.before'"]),
        (["reason.jsonl"], ["reason.jsonl", "cc", "'tired'", "above_threshold"]),
        (["no_reason.jsonl"], ["no_reason.jsonl", "cc", "None", "above_threshold"]),
        (["two.jsonl"], ["two.jsonl", "bb", "'above_threshold'"]),
        ([SQUAD, "--rows", "-1"], ["--rows", "-1"]),
        ([SQUAD, "--changed", "--unchanged"], ["--changed", "--unchanged"]),
        ([SQUAD, "--category", "Citys"], ["--category Citys", "Cities, Kitchen"]),
        ([SQUAD, "--acted", "ethic"], ["--acted ethic", "ethical, factuality"]),
        (["copied.jsonl", "--category", "Cities"], ["--category", "copied.jsonl"]),
        ([RESPONSES, "--unchanged"], ["--unchanged", "'aligned_response'"]),
        ([RESPONSES, "--lower-than", "0.5"], ["--lower-than", "'scores'"]),
    ],
)
def test_a_mistake_gets_one_message(show: Show, arguments: list[Any], parts: list[str]) -> None:
    response = {"id": "aa", "question": "Why?", "response": "So."}
    write_rows(RESPONSES, [response])
    write_rows(Path("copied.jsonl"), [RUDE_AND_WRONG])
    write_rows(Path("half.jsonl"), [REJECTED, response])
    write_rows(Path("kind.jsonl"), [{**response, "response": None}])
    write_rows(Path("reason.jsonl"), [{**UNTOUCHED, "reason": "tired"}])
    write_rows(Path("no_reason.jsonl"), [{**UNTOUCHED, "reason": None}])
    write_rows(Path("two.jsonl"), [{**REJECTED, "reason": "above_threshold"}])
    write_rows(Path("turns.jsonl"), [{**REJECTED, "trace": [{"criterion": "ethical"}]}])
    Path("damaged.jsonl").write_text('{"id": "aa", "question": "?", "response": "!"}\n{"id"')
    with pytest.raises(SystemExit) as caught:
        show(*arguments)
    message = str(caught.value)
    assert message.startswith("error: ") and "\n" not in message
    for part in parts:
        assert part in message


def test_a_closed_pipe_causes_no_traceback(show: Show, tmp_path: Path) -> None:
    row = {"question": "?", "response": "word " * 20}
    write_rows(RESPONSES, [{"id": f"aa{number}", **row} for number in range(2000)])
    program = "from aligners.cli.main import main; main()"
    process = subprocess.Popen(
        [sys.executable, "-c", program, "show", str(RESPONSES), "--rows", "2000"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=os.environ,
    )
    assert process.stdout is not None and process.stderr is not None
    assert process.stdout.readline().startswith(b"aa")
    process.stdout.close()
    assert process.stderr.read() == b""
    process.wait(timeout=300)


# Differences of two texts


@pytest.mark.parametrize(
    ("before", "after", "removed", "added"),
    [
        ("a red cat sat", "a blue cat sat", ["red"], ["blue"]),
        ("Go away. It is so.", "It is so.", ["Go away."], []),
        ("It is so.", "It is so. Really it is.", [], ["Really it is."]),
        ("same words", "same\nwords", [], []),
        # A single word that both sentences contain does not match; a whole sentence does.
        (
            "Bern. A bear is its symbol.",
            "Lyon. A pilot gave the name.",
            ["Bern. A bear is its symbol."],
            ["Lyon. A pilot gave the name."],
        ),
        (
            "no. It is quite true. no.",
            "yes. It is quite true. yes.",
            ["no.", "no."],
            ["yes.", "yes."],
        ),
        ("", "", [], []),
    ],
)
def test_differences_are_marked_by_word(
    before: str, after: str, removed: list[str], added: list[str]
) -> None:
    old, new = changed_spans(before, after)
    assert [before[start:end] for start, end in old] == removed
    assert [after[start:end] for start, end in new] == added


def test_unmarked_words_are_the_same_on_both_sides() -> None:
    """Even for very frequent words, which difflib's heuristic ignores."""
    before = " ".join(f"the w{number % 7} of" for number in range(300))
    after = " ".join(f"the w{number % 5} of" for number in range(280))
    sides = []
    for text, spans in zip((before, after), changed_spans(before, after), strict=True):
        for start, end in reversed(spans):
            text = text[:start] + text[end:]
        sides.append(text.split())
    assert sides[0] == sides[1] and len(sides[0]) > 100
