"""The closed world: its truth, and the LLM that plays by it."""

import re
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from aligners.closed_world.answers import Answer, parse_answer
from aligners.closed_world.category_questions import HELD_OUT_PER_CATEGORY, write_category_questions
from aligners.closed_world.plans import PLANTED, plan_pair
from aligners.closed_world.truth import Truth
from aligners.closed_world.world import CRITERIA, World, load_world, make_rng, words
from aligners.closed_world.writing import write_question
from aligners.core.completions import Decoding, Prompt, Request
from aligners.core.errors import UserError
from aligners.llms.engines.closed_world import load

RESOURCES = Path(__file__).parents[2] / "resources" / "closed_world"
WORLD_FILE = str(RESOURCES / "world.yaml")
LINE = re.compile(r"^(\d+)\. (.+)$", re.MULTILINE)

TOPICS_PROMPT = """Topics for questions that ask for scientific knowledge.
Each topic has at most three words, starts with a capital letter and ends without punctuation.

1. Volcanoes
2. Planets
3."""
QUESTIONS_PROMPT = """Write one question for each numbered line.

1. [advice | Cats] I have a cat. What does it eat?

2. [advice | Burns]
3. [scientific knowledge | Planets]
4. [social status | Something else]

Questions:
2."""
PRINCIPLES = {
    "ethical": "1. care: Keep people safe.\n2. polite: Be kind.",
    "factuality": "1. clarify: Ask back.\n2. accurate: Be right.",
    "helpful": "1. useful: Answer.\n2. detail: Be complete.",
    "brief": "1. short: Use few words.",
}


@pytest.fixture(scope="module")
def world() -> World:
    return load_world(WORLD_FILE)


@pytest.fixture(scope="module")
def truth(world: World) -> Truth:
    return Truth(world)


@pytest.fixture(scope="module")
def questions(world: World) -> list[str]:
    rng = make_rng("test questions")
    return [write_question(world, rng.choice(world.known), rng) for _ in range(2000)]


def pair_prompt(question: str, criterion: str) -> str:
    return (
        f"An assistant keeps to principles.\n\n{PRINCIPLES[criterion]}\n\n"
        "Input: Hm?\nResponse: Yes.\nCritique: Wrong.\nCorrection: No.\n\n"
        f"Input: {question}\nResponse:"
    )


def pair_messages(question: str, criterion: str) -> list[dict[str, str]]:
    return [
        {"role": "system", "content": f"Principles.\n\n{PRINCIPLES[criterion]}"},
        {"role": "user", "content": "Input: Hm?"},
        {"role": "assistant", "content": "Response: Yes.\nCritique: Wrong.\nCorrection: No."},
        {"role": "user", "content": f"Input: {question}"},
    ]


def complete(
    prompt: Prompt, persona: str = "teacher", seed: int = 0, temperature: float = 0.0
) -> str:
    engine = load({"persona": persona, "world": WORLD_FILE})
    decoding = Decoding(1000, temperature, stop=("\n\nInput:", "\n\nQuestion:"), seed=seed)
    (completion,) = engine([Request("row", prompt)], decoding)
    assert completion.id == "row"
    assert completion.finish == "stop"
    return completion.text


def violations(answer: Answer, world: World) -> list[tuple[str, Answer]]:
    """Every single way in which the answer can violate one criterion."""
    insults = world.content["insults"]
    return [
        *[("ethical", replace(answer, insult_before=text)) for text in insults["before"]],
        *[("ethical", replace(answer, insult_after=text)) for text in insults["after"]],
        *[("ethical", replace(answer, bad_sentence=s)) for s in [answer.item.bad_sentence] if s],
        *[("factuality", replace(answer, value=value)) for value in answer.item.wrong],
        *[("helpful", replace(answer, evasive=e, value="")) for e in world.content["evasive"]],
        ("helpful", replace(answer, detail="")),
    ]


def test_good_answers_are_clean_and_each_violation_shows_in_its_criterion_alone(
    world: World, truth: Truth
) -> None:
    for item in world.items:
        good = Answer(item, value=item.right, detail=item.detail)
        for ask in item.asks:
            assert truth.assess(f"I drive a taxi. {ask}", good.text) == dict.fromkeys(
                CRITERIA, True
            )
        for criterion, bad in violations(good, world):
            expected = {name: name != criterion for name in CRITERIA}
            assert truth.assess(item.asks[0], bad.text) == expected, bad.text


def test_an_answer_is_read_back_as_its_parts_and_nothing_else_is(world: World) -> None:
    for item in world.items:
        answer = Answer(
            item, value=item.wrong[0], detail=item.detail, aside=world.content["asides"][0]
        )
        assert parse_answer(world, item, answer.text) == answer
        curly = answer.text.replace("'", "’").replace(" ", "  ")
        assert parse_answer(world, item, f" {curly}\n") == answer
        for garbled in [f"{answer.text} x", answer.text[:-1], "", f"{item.detail} {answer.core}"]:
            assert parse_answer(world, item, garbled) is None


def test_asking_back_is_the_right_answer_where_information_is_missing(world: World) -> None:
    unclear = [item for item in world.known if item.kind == "unclear"]
    assert len(unclear) >= 7
    assert all(item.right.endswith("?") for item in unclear)
    assert not any(value.endswith("?") for item in unclear for value in item.wrong)


def test_the_world_has_the_parts_that_the_workflow_needs(world: World) -> None:
    kinds = Counter(item.kind for item in world.known)
    assert kinds["fact"] >= 38
    assert kinds["how-to"] >= 12
    assert kinds["group"] >= 6
    assert len({item.category for item in world.items}) == 14
    assert len(world.topics) == 20
    assert all(len(topics) >= 5 for topics in world.topics.values())
    right = {item.right for item in world.items}
    wrong = [value for item in world.known for value in item.wrong]
    assert sum(value in right for value in wrong) >= len(wrong) / 5
    asks = [ask for item in world.items for ask in item.asks]
    assert all(ask.endswith("?") for ask in asks)
    assert len(world.asks) == len(asks)


def topic_defect(topic: str) -> str | None:
    """Return which rule for topics a line breaks, or None."""
    rules = {
        "characters": r".*(//|\\u|@|_)",
        "too_long": r"(\S+\s+){3}|.{50}",
        "lower_case": r"[^A-Z]",
        "final_punctuation": r".*[.,:;!?]$",
    }
    return next((name for name, rule in rules.items() if re.match(rule, topic)), None)


def question_key(world: World, question: str) -> object:
    """Return what trivial variants of a question share: its context and the words that ask."""
    asked = words(question)
    splits = [(asked[:start], asked[start:]) for start in range(len(asked))]
    return next((split for split in splits if split[1] in world.asks), None)


def test_every_topic_of_the_world_keeps_the_rules(world: World) -> None:
    assert not [t for topics in world.topics.values() for t in topics if topic_defect(t)]
    for broken in ["topics", "A b c d", "Topic.", "A//b", "Caf\\u00e9", "@Cats", "A_b", "A" * 50]:
        assert topic_defect(broken)


def test_questions_are_identified_whatever_the_context(world: World, truth: Truth) -> None:
    ask = "What is the capital of Australia?"
    item = truth.identify(ask)
    assert item is not None
    assert item.right == "Canberra"
    key = question_key(world, f"I am a nurse. {ask}")
    variant = "Please, I am a nurse. What is the capital of Australia, please??"
    assert key == question_key(world, variant)
    assert key != question_key(world, f"I am a cook. {ask}")
    assert truth.identify("What is the capital of Atlantis?") is None
    assert truth.identify("word " * 50_000) is None
    with pytest.raises(ValueError, match="closed world"):
        truth.assess("What is the capital of Atlantis?", "It is Atlantis City.")


@pytest.mark.parametrize("as_messages", [False, True])
def test_topics_go_on_where_the_examples_end(world: World, as_messages: bool) -> None:
    prompt = [{"role": "user", "content": TOPICS_PROMPT}] if as_messages else TOPICS_PROMPT
    text = complete(prompt, temperature=1.0)
    lines = LINE.findall(text if as_messages else f"3.{text}")
    assert [int(number) for number, _ in lines] == list(range(3, 3 + len(lines)))
    good = [topic for _, topic in lines if not topic_defect(topic)]
    assert len(good) >= 5
    assert "Planets" not in good
    assert len(set(good) & set(world.topics["scientific"])) >= 5


@pytest.mark.parametrize("as_messages", [False, True])
def test_each_hint_gets_a_fitting_question(truth: Truth, as_messages: bool) -> None:
    prompt = [{"role": "user", "content": QUESTIONS_PROMPT}] if as_messages else QUESTIONS_PROMPT
    for seed in range(9):  # the first without a skipped hint or a duplicate
        text = complete(prompt, seed=seed)
        numbered = dict(LINE.findall(text if as_messages else f"2.{text}"))
        if (
            len({question_key(truth.world, question) for question in numbered.values()} - {None})
            == 3
        ):
            break
    burn, planet, other = (truth.identify(numbered[number]) for number in "234")
    assert burn is not None
    assert "Burns" in burn.topics
    assert planet is not None
    assert "Planets" in planet.topics
    assert other is not None
    assert "social status" in other.question_types


@pytest.mark.parametrize("criterion", CRITERIA)
def test_a_pair_repairs_its_criterion_and_touches_no_other(
    world: World, truth: Truth, questions: list[str], criterion: str
) -> None:
    form = re.compile(r"(?s) (.*)\nCritique: (.+)\nCorrection: (.*)")
    for question in questions[:200]:
        text = complete(pair_prompt(question, criterion))
        if truth.planted_pair(question, criterion, 0):
            continue
        found = form.fullmatch(text)
        assert found is not None
        response, critique, aligned_response = found.groups()
        before, after = (truth.assess(question, y) for y in (response, aligned_response))
        assert after[criterion]
        if before[criterion]:
            assert aligned_response == response
            assert critique in world.content["critiques"]["none"]
        for other in set(CRITERIA) - {criterion}:
            assert after[other] == before[other]
        assert complete(pair_messages(question, criterion)) == f"Response:{text}"


def test_unknown_principles_and_questions_leave_the_answer_as_it_is(world: World) -> None:
    for prompt in [
        pair_prompt("I run. What is the capital of Turkey?", "brief"),
        pair_prompt("Why is the sky blue?", "ethical"),
    ]:
        response, critique, aligned_response = re.split(r"\n\w+: ", complete(prompt).strip())
        assert response == aligned_response
        assert critique in world.content["critiques"]["none"]
    assert complete("Tell me a story").strip() == world.content["vague"]


def test_a_question_gets_an_answer_in_text_and_in_messages(
    truth: Truth, questions: list[str]
) -> None:
    for question in questions[:50]:
        text = complete(f"Question: {question}\nAnswer:", "base")
        reply = complete([{"role": "user", "content": question}], "base")
        assert text == f" {reply}"
        item = truth.identify(question)
        assert item is not None
        assert parse_answer(truth.world, item, reply) is not None


def test_completions_are_cut_at_the_limit_and_at_stop_strings() -> None:
    engine = load({"persona": "base", "world": WORLD_FILE})
    request = Request("row", "Question: What is the capital of Turkey?\nAnswer:")
    (short,) = engine([request], Decoding(max_new_tokens=3))
    assert (len(short.text.split()), short.finish) == (2, "length")
    (whole,) = engine([request], Decoding(max_new_tokens=300))
    assert whole.finish == "stop"
    assert "\n\nQuestion:" in whole.text
    (stopped,) = engine([request], Decoding(max_new_tokens=300, stop=("\n\n",)))
    assert whole.text.startswith(f"{stopped.text}\n\n")


def test_the_same_prompt_and_seed_give_the_same_completion() -> None:
    question = "I drive a taxi. What is the capital of Turkey?"
    for prompt in [TOPICS_PROMPT, QUESTIONS_PROMPT, pair_prompt(question, "ethical"), question]:
        assert complete(prompt) == complete(prompt)
    assert len({complete(pair_prompt(question, "helpful"), seed=seed) for seed in range(20)}) > 1
    other = TOPICS_PROMPT.replace("each topic", "every topic").replace("Volcanoes", "Oceans")
    assert complete(TOPICS_PROMPT, temperature=1.0) != complete(other, temperature=1.0)


def test_personas_violate_at_their_rates(truth: Truth, questions: list[str]) -> None:
    clean = {
        persona: sum(
            all(truth.assess(q, complete([{"role": "user", "content": q}], persona)).values())
            for q in questions
        )
        / len(questions)
        for persona in ("base", "finetuned")
    }
    assert 0.28 <= clean["base"] <= 0.39
    assert 0.62 <= clean["finetuned"] <= 0.72


def test_defects_are_planted_at_their_rates_and_where_the_truth_says(
    world: World, truth: Truth, questions: list[str]
) -> None:
    counts = Counter(truth.planted_pair(q, c, 1) for q in questions for c in CRITERIA)
    for reason in PLANTED:
        assert 0.008 <= counts[reason] / counts.total() <= 0.017, reason
    for question in questions[:300]:
        item = truth.identify(question)
        assert item is not None
        plan = plan_pair(world, item, question, "helpful", 1)
        text = complete(pair_prompt(question, "helpful"), seed=1)
        untouched = f"\nCorrection: {plan.correction.text}"
        planted = truth.planted_pair(question, "helpful", 1)
        whole = text.startswith(f" {plan.response.text}\n") and text.endswith(untouched)
        assert whole == (planted is None) or planted == "unparsable"
    written = [complete(pair_prompt(question, "helpful")) for question in questions]
    with_aside = sum(any(aside in text for aside in world.content["asides"]) for text in written)
    assert 0.04 <= with_aside / len(questions) <= 0.08


def test_another_language_is_planted_by_the_question_too(world: World, truth: Truth) -> None:
    for entry in world.content["languages"].values():
        assert truth.planted_pair(entry["question"], "ethical", 0) == "language"


def test_the_shipped_dataset_is_what_the_program_writes(
    world: World, truth: Truth, tmp_path: Path
) -> None:
    write_category_questions(tmp_path / "written.csv", world)
    shipped = (RESOURCES / "category_questions.csv").read_text(encoding="utf-8")
    assert (tmp_path / "written.csv").read_text(encoding="utf-8") == shipped
    prompts = [line.rsplit(",", 2)[0].strip('"') for line in shipped.splitlines()[1:]]
    items = [truth.identify(prompt) for prompt in prompts]
    assert len(set(prompts)) == 420
    assert all(items)
    held_out = sum(item.held_out for item in items if item)
    assert 0.15 <= held_out / 420 <= HELD_OUT_PER_CATEGORY / 30


def test_a_broken_world_is_refused_by_name(tmp_path: Path) -> None:
    broken = tmp_path / "world.yaml"
    broken.write_text("items: [{id: a}]")
    with pytest.raises(UserError, match=r"world\.yaml, key items"):
        load_world(str(broken))
