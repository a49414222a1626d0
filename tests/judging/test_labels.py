"""Which label a judge's reply in words chooses, and the probabilities of labels as first tokens."""

from math import log

import pytest

from aligners.judging.labels import chosen_label, label_probabilities

LETTERS, LOWER, CASES = ["A", "B"], ["a", "b"], ["m", "M"]
BRACKETS = ["[[A]]", "[[B]]", "[[tie]]"]


@pytest.mark.parametrize(
    ("reply", "labels", "label"),
    [
        ("**Output (a)**", LOWER, "a"),
        ("The better one is m.", CASES, "m"),
        ("Verdict: M", CASES, "M"),
        ("'m'", CASES, "m"),
        ("_M_ is better", CASES, "M"),
        ("I think that answer_M is better, and M is also shorter.", CASES, "M"),
        ('{"verdict": "M"}', CASES, "M"),
        ("Clearly [[B]].", BRACKETS, "[[B]]"),
        ("Output (b) is a better answer.", LOWER, "b"),
        ("tie", ["A", "B", "tie"], "tie"),
    ],
)
def test_a_reply_that_names_one_label_chooses_it(reply: str, labels: list[str], label: str) -> None:
    assert chosen_label(reply, labels) == label


@pytest.mark.parametrize(
    ("reply", "labels"),
    [
        ("maybe", LOWER),
        ("Answer both questions again", LETTERS),
        ("I'm not sure.", CASES),
        ("It happened at 9 a.m.", CASES),
        ("A-level questions", LETTERS),
        ("untied", ["A", "B", "tie"]),
        ("It is a tie.", LOWER),
        ("A hard choice.", LETTERS),
        ("", CASES),
    ],
)
def test_a_label_is_not_part_of_a_word_and_not_the_article(reply: str, labels: list[str]) -> None:
    assert chosen_label(reply, labels) is None


@pytest.mark.parametrize("reply", ["M is worse.", "M is not as good.", "The worse answer is M."])
def test_a_label_that_is_only_rejected_is_not_chosen(reply: str) -> None:
    assert chosen_label(reply, CASES) is None


@pytest.mark.parametrize(
    "reply",
    [
        "m is vague, and M is detailed.\n\nVerdict: M",
        "m is vague, and M is detailed.\n\n**Verdict:** M\n",
        "Verdict: **M**, since m is vague.",
        "Comparing m with M, the final answer is M.",
        "1. m: short\n2. M: better\n\nM",
        "**M**\n\nThe answer of m is vague.",
        "m is vague. The better answer is **M**.",
        "m is fine, but M is right.\nSo the better one is M.",
        "Better answer: M\nWorse answer: m",
        "Answer: m has an error.\nAnswer: M has none.\nI choose M.",
        "The better response is M. The response m insults.",
        "I'd choose M over m.",
        "I prefer answer M, as m insults.",
        "M is better than m.",
        "**Output (M)** is slightly better than Output (m) because it is kind.",
        "m is kind. M is better than m in all else.",
        "I prefer M over m.",
        "I'd say M, because m is rude.",
    ],
)
def test_of_several_labels_the_final_statement_chooses(reply: str) -> None:
    assert chosen_label(reply, CASES) == "M"


@pytest.mark.parametrize(
    "reply",
    [
        "m or M",
        "Both m and M are good.",
        "Whether M is better than m is hard to say.",
        "M is better than m in tone, and m is better than M in facts.",
        "M is better than m in tone. But m is right.",
        "I'd say M is worse than m.",
        "I would choose M if m were wrong.",
        "I'd pick M over m for its tone, but m is right.",
        "m: 9/10\nM: 7/10",
        "1. **Output (m)** is short.\n2. **Output (M)** is long.",
        "m\nM",
        "Verdict: m or M",
        "Verdict: M\nVerdict: m, then\n both m and M.",
        "**M** is better.\nBut m is kind.",
        "I prefer M in style but m in content.",
        "I would prefer that M were as brief as m. It is not.",
        "The better response is not M but m.",
    ],
)
def test_a_reply_without_one_final_label_chooses_none(reply: str) -> None:
    assert chosen_label(reply, CASES) is None


@pytest.mark.parametrize(
    "labels",
    [["A", "AB"], ["A", "A+"], ["A", "[[A]]"], ["tie", "no tie"], ["Output", "Output (a)"]],
)
def test_a_label_may_be_part_of_another(labels: list[str]) -> None:
    for label in labels:
        assert chosen_label(f"I choose {label}.", labels) == label


def test_spellings_of_a_label_with_white_space_are_added_up() -> None:
    logprobs = {"m": log(0.3), " m": log(0.2), "M": log(0.1), "\nM": log(0.05), "me": log(0.2)}
    assert label_probabilities(logprobs, CASES) == pytest.approx({"m": 0.5, "M": 0.15})
