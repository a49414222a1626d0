"""Loops: which texts repeat themselves as models do, and which as people do."""

import csv
import os
import time
from pathlib import Path

import pytest

from aligners.correction.loops import find_loop, is_new_loop

DATA = os.environ.get("ALIGNERS_TEST_DATA", "")

SENTENCE = "It is kind to ask first, and to listen to the answer. "
PARAGRAPH = (
    "First, think about who is affected by the choice. Then ask them what they need. After that, "
    "weigh the costs against the benefits, and write down why. Finally, look back once a year. "
)
LOOPS = {
    "a word": "You should ask the" + " the" * 40,
    "a word without spaces between": "Ask them!" + " No!no!no!no!" * 10,
    "a sentence": "Think twice. " + SENTENCE * 4,
    "a sentence in different cases and spaces": SENTENCE * 2 + SENTENCE.upper() + "\n" + SENTENCE,
    "a sentence that is cut off": SENTENCE * 3 + "It is kind to ask fir",
    "a loop with an end": SENTENCE * 5 + "Thank you for asking.",
    "two sentences in turns": ("Ask a friend. Be kind to yourself, too. ") * 6,
    "a paragraph": PARAGRAPH * 4,
    "a numbered list of equal items": "\n".join(f"{n}. Be kind to others." for n in range(1, 9)),
    "numbered items in a line": " ".join(f"({n}) Be kind to others." for n in range(1, 9)),
    "numbered steps": "\n".join(f"Step {n}: Ask a doctor." for n in range(1, 9)),
    "a list of equal items": "Do this:\n" + "- Be kind to others.\n" * 6,
    "paragraphs": ("Ask first.\n\nListen to the answer of the others.\n\n") * 4,
    "Chinese": "请先问一下，然后再决定。" * 4,
    "Japanese": "まず聞いてから決めてください。" * 4,
    "Thai": "ขอบคุณสำหรับคำถามของคุณ" * 5,
    "Arabic": "اسأل الطبيب أولا ثم قرر. " * 5,
}
NO_LOOPS = {
    "no words": "",
    "punctuation": "!!! ... --- ***" * 30,
    "emphasis": "It is very, very, very, very important. No, no, no, no, no!",
    "laughter": "Ha ha ha ha ha ha!",
    "a sentence said twice": SENTENCE * 2,
    "a short sentence said three times": "Do not do it. Do not do it. Do not do it.",
    "a refrain": "\n".join(
        f"{line}\nRow, row, row your boat,\nGently down the stream."
        for line in ("The sun is up.", "The birds sing.", "The day is long.", "The night comes.")
    ),
    "anaphora": " ".join(f"I have a dream that {what} will come." for what in
                         ("peace", "rain", "spring", "justice", "bread", "sleep")),
    "a list with a pattern": "\n".join(f"{n}. Be kind to your {who}." for n, who in enumerate(
        ("mother", "father", "sister", "brother", "neighbour", "teacher", "dog"), 1)),
    "numbers": " ".join("0" for _ in range(60)),
    "a table of numbers": "\n".join("1 0 0 1 0 0" for _ in range(9)),
    "counting": " ".join(str(number) for number in range(200)),
    "a multiplication table": "\n".join(f"{n} times 7 is {7 * n}." for n in range(1, 15)),
    "numbers at the end of a line": "\n".join(f"In year {n} it was {n * n}." for n in range(9)),
    "an empty table": "| day | done |\n" + "| --- | --- |\n" * 20,
    "Chinese emphasis": "非常非常非常好！谢谢谢谢谢谢！",
}  # fmt: skip


@pytest.mark.parametrize("name", LOOPS)
def test_loops_of_models_are_found(name: str) -> None:
    assert is_new_loop(LOOPS[name], source="Ask first.")


@pytest.mark.parametrize("name", NO_LOOPS)
def test_repetitions_of_people_are_no_loops(name: str) -> None:
    assert find_loop(NO_LOOPS[name]) is None


def test_a_loop_of_the_source_is_no_new_loop_unless_it_grows() -> None:
    chant = "We want bread and we want peace. " * 4
    assert not is_new_loop(f"They sang: {chant}", source=f"They shouted: {chant}")
    assert is_new_loop(chant * 3, source=chant)
    assert is_new_loop(SENTENCE * 4, source=chant)


def test_many_line_ends_take_no_long_time() -> None:
    started = time.process_time()
    assert find_loop("Ask." + "\n" * 20_000 + "Listen.") is None
    assert time.process_time() - started < 2


@pytest.mark.skipif(not DATA, reason="ALIGNERS_TEST_DATA is not set")
@pytest.mark.parametrize("name", ["questions_ethical_20k.csv", "beavertails_prompts_700.csv"])
def test_questions_that_people_and_llms_wrote_have_no_loop(name: str) -> None:
    with (Path(DATA) / name).open(encoding="utf-8", newline="") as file:
        texts = [row[0] for row in csv.reader(file) if row]
    assert len(texts) > 600
    assert [text for text in texts if find_loop(text)] == []


@pytest.mark.parametrize(
    ("text", "source", "is_loop"),
    [
        ("It is Jupiter. It is Jupiter. It is made of gas.", "It is Jupiter.", True),
        ("Use a lid.\nUse a lid!", "Use flour.", True),
        ("Go on. Go on. It is not far.", "It is far.", False),
        ("It is Jupiter. It is big. It is Jupiter.", "It is Jupiter.", False),
        ("It is so. It is so.", "It is so. It is so. Fool.", False),
        ("It is so. It is so. It is so.", "It is so. It is so. Fool.", True),
        ("这是一个好主意。这是一个好主意。", "不好。", True),
        ("यह बहुत अच्छा है। यह बहुत अच्छा है।", "नहीं", True),
    ],
)
def test_a_sentence_twice_in_a_row_is_a_loop_if_it_is_new(
    text: str, source: str, is_loop: bool
) -> None:
    assert is_new_loop(text, source) == is_loop
