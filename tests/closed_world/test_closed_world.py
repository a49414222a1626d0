"""The closed world: its truth, and the engine that imitates LLMs."""

import re
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from recipes import make_recipe

from aligners.closed_world.answers import Answer, parse_answer
from aligners.closed_world.category_questions import HELD_OUT_PER_CATEGORY, write_category_questions
from aligners.closed_world.plans import PLANTED, WRAPPINGS
from aligners.closed_world.scorecard import filter_scores
from aligners.closed_world.truth import Truth
from aligners.closed_world.world import CRITERIA, World, load_world, make_rng, words
from aligners.closed_world.writing import write_question
from aligners.configuration.kinds.llms import ClosedWorldRecipe
from aligners.core.completions import Completion, Decoding, Engine, Prompt, Request
from aligners.core.errors import UserError
from aligners.llms.engines.closed_world import load
from aligners.synthesis.pair_replies import parse_pair

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


def correction_prompts(question: str, criterion: str, response: str) -> list[Prompt]:
    """Return the prompts for a correction of a response: for a base LLM, and for a chat LLM."""
    *messages, _ = pair_messages(question, criterion)
    last = {"role": "user", "content": f"Input: {question}\nResponse: {response}"}
    return [f"{pair_prompt(question, criterion)} {response}\nCritique:", [*messages, last]]


def load_persona(persona: str) -> Engine:
    """Return the engine of a persona."""
    own = {"engine": "closed-world", "persona": persona, "world": str(WORLD_FILE)}
    return load(make_recipe(ClosedWorldRecipe, **own))


def complete(
    prompt: Prompt, persona: str = "teacher", seed: int = 0, temperature: float = 0.0
) -> str:
    engine = load_persona(persona)
    decoding = Decoding(1000, temperature, stop=("\n\nInput:", "\n\nQuestion:"), seed=seed)
    (completion,) = engine([Request("row", prompt)], decoding)
    assert completion.id == "row"
    assert completion.finish == "stop"
    return completion.text


def violations(answer: Answer, world: World) -> list[tuple[str, Answer]]:
    """Return each way to violate one criterion: (criterion, the answer with the violation)."""
    insults = world.content["insults"]
    return [
        *[("ethical", replace(answer, insult_before=text)) for text in insults["before"]],
        *[("ethical", replace(answer, insult_after=text)) for text in insults["after"]],
        *[("ethical", replace(answer, bad_sentence=s)) for s in [answer.item.bad_sentence] if s],
        *[("factuality", replace(answer, value=value)) for value in answer.item.wrong],
        *[("helpful", replace(answer, evasive=e, value="")) for e in world.content["evasive"]],
        ("helpful", replace(answer, detail="")),
    ]


def test_a_good_answer_meets_all_criteria_and_a_violation_breaks_only_its_criterion(
    world: World, truth: Truth
) -> None:
    for item in world.items:
        good = Answer(item, value=item.right, detail=item.detail)
        for ask in item.asks:
            verdicts = truth.assess(f"I drive a taxi. {ask}", good.text)
            assert verdicts == dict.fromkeys(CRITERIA, True)
        for criterion, bad in violations(good, world):
            expected = {name: name != criterion for name in CRITERIA}
            assert truth.assess(item.asks[0], bad.text) == expected, bad.text


def test_the_parser_reads_only_complete_answers(world: World) -> None:
    for item in world.items:
        answer = Answer(
            item, value=item.wrong[0], detail=item.detail, aside=world.content["asides"][0]
        )
        assert parse_answer(world, item, answer.text) == answer
        curly = answer.text.replace("'", "’").replace(" ", "  ")
        assert parse_answer(world, item, f" {curly}\n") == answer
        for garbled in [f"{answer.text} x", answer.text[:-1], "", f"{item.detail} {answer.core}"]:
            assert parse_answer(world, item, garbled) is None


def test_the_right_answer_to_an_unclear_question_is_a_question(world: World) -> None:
    unclear = [item for item in world.known if item.kind == "unclear"]
    assert len(unclear) >= 7
    assert all(item.right.endswith("?") for item in unclear)
    assert not any(value.endswith("?") for item in unclear for value in item.wrong)


def test_the_world_has_enough_items_of_each_kind(world: World) -> None:
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
    asks += [ask for item in world.items for ask in item.category_asks]
    assert len(world.asks) == len(asks)
    # A question can be a statement or an instruction.
    assert 0.2 <= sum(not ask.endswith("?") for ask in asks) / len(asks) <= 0.4


def topic_defect(topic: str) -> str | None:
    """Return the rule for topics that a line breaks, or None."""
    rules = {
        "characters": r".*(//|\\u|@|_)",
        "too_long": r"(\S+\s+){3}|.{50}",
        "lower_case": r"[^A-Z]",
        "final_punctuation": r".*[.,:;!?]$",
    }
    return next((name for name, rule in rules.items() if re.match(rule, topic)), None)


def question_key(world: World, question: str) -> object:
    """Return a key that trivial variants of a question share: (words of context, words of ask)."""
    found = words(question)
    splits = [(found[:start], found[start:]) for start in range(len(found))]
    return next((split for split in splits if split[1] in world.asks), None)


def test_every_topic_of_the_world_follows_the_rules(world: World) -> None:
    assert not [t for topics in world.topics.values() for t in topics if topic_defect(t)]
    for broken in ["topics", "A b c d", "Topic.", "A//b", "Caf\\u00e9", "@Cats", "A_b", "A" * 50]:
        assert topic_defect(broken)


def test_the_item_of_a_question_does_not_depend_on_the_context(world: World, truth: Truth) -> None:
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
    with pytest.raises(ValueError, match="Atlantis"):
        truth.assess("What is the capital of Atlantis?", "It is Atlantis City.")


@pytest.mark.parametrize("as_messages", [False, True])
def test_the_list_of_topics_continues_after_the_examples(world: World, as_messages: bool) -> None:
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
    # Use the first seed without skipped hints and duplicates.
    for seed in range(9):
        text = complete(prompt, seed=seed)
        numbered = dict(LINE.findall(text if as_messages else f"2.{text}"))
        keys = {question_key(truth.world, question) for question in numbered.values()}
        if len(keys - {None}) == 3:
            break
    burn, planet, other = (truth.identify(numbered[number]) for number in "234")
    assert burn is not None
    assert "Burns" in burn.topics
    assert planet is not None
    assert "Planets" in planet.topics
    assert other is not None
    assert "social status" in other.question_types


@pytest.mark.parametrize("criterion", CRITERIA)
def test_a_correction_repairs_its_criterion_and_seldom_breaks_another(
    world: World, truth: Truth, questions: list[str], criterion: str
) -> None:
    pair_format = re.compile(r"(?s) (.*)\nCritique: (.+)\nCorrection: (.*)")
    side_effects = 0
    for question in questions[:500]:
        text = complete(pair_prompt(question, criterion))
        plan = truth.planned_pair(question, criterion, 0)
        assert plan is not None
        if plan.defect or plan.wrapping:
            continue
        found = pair_format.fullmatch(text)
        assert found is not None
        response, critique, correction = found.groups()
        before, after = (truth.assess(question, answer) for answer in (response, correction))
        assert after[criterion]
        if before[criterion]:
            assert correction == response
            assert critique in world.content["critiques"]["none"]
        changed = {other for other in set(CRITERIA) - {criterion} if after[other] < before[other]}
        side_effects += len(changed)
        assert complete(pair_messages(question, criterion)) == f"Response:{text}"
    # A few corrections violate another criterion.
    assert 1 <= side_effects <= 30


def test_with_unknown_principles_or_questions_the_correction_equals_the_response(
    world: World,
) -> None:
    for prompt in [
        pair_prompt("I run. What is the capital of Turkey?", "brief"),
        pair_prompt("Why is the sky blue?", "ethical"),
    ]:
        response, critique, correction = re.split(r"\n\w+: ", complete(prompt).strip())
        assert response == correction
        assert critique in world.content["critiques"]["none"]
    assert complete("Tell me a story").strip() == world.content["vague"]


@pytest.mark.parametrize("criterion", CRITERIA)
def test_a_given_response_gets_the_correction_that_the_truth_names(
    world: World, truth: Truth, questions: list[str], criterion: str
) -> None:
    """The pair is read by the workflow's parser, with all defects and wrappings."""
    planted, plain = Counter[str | None](), 0
    for question in questions[:600]:
        response = complete([{"role": "user", "content": question}], "base")
        plan = truth.planned_pair(question, criterion, 0, response)
        assert plan is not None
        assert plan.response.text == response
        planted[plan.defect] += 1
        for prompt in correction_prompts(question, criterion, response):
            fields, reason = parse_pair(
                Completion("", complete(prompt), "stop"), Counter(), response
            )
            assert (reason == "no_correction") == (plan.defect == "unparsable"), complete(prompt)
            if plan.defect or plan.wrapping == "remark":
                continue
            plain += 1
            assert fields["aligned_response"] == plan.correction.text
            assert truth.assess(question, plan.correction.text)[criterion]
            good = truth.assess(question, response)[criterion]
            assert (fields["critique"] in world.content["critiques"]["none"]) == good
            assert (plan.correction == plan.response) == good
    assert set(planted) == {None, *PLANTED}
    assert plain > 800


def test_filters_are_scored_by_the_defects_in_corrections_of_given_responses(
    truth: Truth, questions: list[str]
) -> None:
    kept, dropped = [], []
    for question in questions[:600]:
        response = complete([{"role": "user", "content": question}], "base")
        plan = truth.planned_pair(question, "helpful", 0, response)
        assert plan is not None
        row = {"question": question, "criterion": "helpful", "response": response}
        row |= {"response_by": "closed-world-base", "aligned_response": plan.correction.text}
        if plan.defect:
            dropped.append({**row, "reason": plan.defect})
        else:
            kept.append(row)
    for reason, score in filter_scores(truth, kept, dropped, 0).items():
        for name in ("precision", "recall", "recall_held_out"):
            assert score[name] == 1, (reason, name)


def test_a_given_response_that_is_not_of_the_world_is_not_corrected(world: World) -> None:
    question = "I run. What is the capital of Turkey?"
    for response in ("It depends.\n\nSome say so.", ""):
        for prompt in correction_prompts(question, "factuality", response):
            text = complete(prompt)
            critique, correction = text.removeprefix("Critique:").split("\nCorrection:")
            assert critique.strip() in world.content["critiques"]["none"]
            assert correction.strip() == response


def test_a_question_gets_the_same_answer_as_text_and_as_a_message(
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
    engine = load_persona("base")
    request = Request("row", "Question: What is the capital of Turkey?\nAnswer:")
    (short,) = engine([request], Decoding(max_new_tokens=3))
    assert (len(short.text.split()), short.finish) == (2, "length")
    (unlimited,) = engine([request], Decoding(max_new_tokens=300))
    assert unlimited.finish == "stop"
    assert "\n\nQuestion:" in unlimited.text
    (stopped,) = engine([request], Decoding(max_new_tokens=300, stop=("\n\n",)))
    assert unlimited.text.startswith(f"{stopped.text}\n\n")


def test_a_completion_depends_on_task_and_seed_and_if_sampled_on_the_whole_prompt() -> None:
    question = "I drive a taxi. What is the capital of Turkey?"
    for prompt in [TOPICS_PROMPT, QUESTIONS_PROMPT, pair_prompt(question, "ethical"), question]:
        assert complete(prompt) == complete(prompt)
    assert len({complete(pair_prompt(question, "helpful"), seed=seed) for seed in range(20)}) > 1
    same_task = TOPICS_PROMPT.replace("Each topic", "Every topic")
    assert complete(TOPICS_PROMPT) == complete(same_task)
    assert complete(TOPICS_PROMPT, temperature=1.0) != complete(same_task, temperature=1.0)


@pytest.mark.parametrize(
    ("persona", "least", "most"), [("base", 0.28, 0.39), ("finetuned", 0.62, 0.72)]
)
def test_personas_violate_criteria_at_their_rates(
    truth: Truth, questions: list[str], persona: str, least: float, most: float
) -> None:
    verdicts = [
        truth.assess(question, complete([{"role": "user", "content": question}], persona))
        for question in questions
    ]
    clean = sum(all(verdict.values()) for verdict in verdicts)
    assert least <= clean / len(questions) <= most


def test_defects_are_planted_at_their_rates_and_in_the_pairs_that_the_truth_names(
    world: World, truth: Truth, questions: list[str]
) -> None:
    plans = [
        plan
        for question in questions
        for criterion in CRITERIA
        if (plan := truth.planned_pair(question, criterion, 1))
    ]
    misbehaviour = world.content["misbehaviour"]
    defects = Counter(plan.defect for plan in plans)
    for reason in PLANTED:
        assert 0.7 <= defects[reason] / len(plans) / misbehaviour["pairs"][reason] <= 1.35, reason
    wrappings = Counter(plan.wrapping for plan in plans)
    for wrapping in WRAPPINGS:
        assert wrappings[wrapping] > 10, wrapping
    held_out = [plan.held_out for plan in plans if plan.defect]
    assert 0.4 <= sum(held_out) / len(held_out) <= 0.6
    for question in questions[:300]:
        plan = truth.planned_pair(question, "helpful", 1)
        assert plan is not None
        text = complete(pair_prompt(question, "helpful"), seed=1)
        planned_end = f"\nCorrection: {plan.correction.text}"
        as_planned = text.startswith(f" {plan.response.text}\n") and text.endswith(planned_end)
        wrapped = plan.defect or plan.wrapping
        assert as_planned == (wrapped is None) or wrapped in ("unparsable", *ABOUT_THE_CRITIQUE)
    pairs = [complete(pair_prompt(question, "helpful")) for question in questions]
    with_aside = sum(any(aside in text for aside in world.content["asides"]) for text in pairs)
    assert 0.04 <= with_aside / len(questions) <= 0.08


# These defects can leave the texts of response and correction as planned.
ABOUT_THE_CRITIQUE = ("uncorrected", "contradiction")


def test_responses_differ_in_style_from_the_teachers_and_some_are_long(
    world: World, questions: list[str]
) -> None:
    teachers, others = ([*style["before"], *style["after"]] for style in world.styles.values())
    assert not set(teachers) & set(others)
    answers = [complete(f"Question: {question}\nAnswer:", "base") for question in questions]
    pairs = [complete(pair_prompt(question, "helpful")) for question in questions]
    # Each rate is that of an opener or a closer.
    for texts, own, foreign, rate in (
        (answers, others, teachers, 0.36),
        (pairs, teachers, others, 0.51),
    ):
        share = sum(any(each in text for each in own) for text in texts) / len(texts)
        assert share == pytest.approx(rate, abs=0.05)
        assert not any(each in text for text in texts for each in foreign)
    # 15 fillers have at least 400 characters.
    assert 0.02 <= sum(len(answer) > 400 for answer in answers) / len(answers) <= 0.05


def test_a_pair_for_a_question_in_another_language_has_the_defect_language(
    world: World, truth: Truth
) -> None:
    for question in world.content["foreign_questions"]:
        assert truth.planted_pair(question, "ethical", 0) == ("language", False)


def test_the_dataset_in_the_repository_equals_the_output_of_the_program(
    world: World, truth: Truth, tmp_path: Path
) -> None:
    write_category_questions(tmp_path / "written.csv", world)
    content = (RESOURCES / "category_questions.csv").read_text(encoding="utf-8")
    assert (tmp_path / "written.csv").read_text(encoding="utf-8") == content
    prompts = [line.rsplit(",", 2)[0].strip('"') for line in content.splitlines()[1:]]
    items = [truth.identify(prompt) for prompt in prompts]
    assert len(set(prompts)) == 420
    assert all(items)
    held_out = sum(item.held_out for item in items if item)
    assert 0.15 <= held_out / 420 <= HELD_OUT_PER_CATEGORY / 30


@pytest.mark.parametrize(
    ("old", "new", "parts"),
    [
        ("base: {ethical: 0.30,", "base: {ethical: 1.30,", ["personas.base.ethical", "1.3"]),
        ("insult: 0.5,", "shout: 0.5,", ["violations.ethical", "shout"]),
        ("sentence: 0.35, both", "sentences: 0.35, both", ["violations.ethical", "sentences"]),
        ("    markup: 0.0125", "    markup: 0.99", ["misbehaviour.pairs", "1.09"]),
        ("  asides: 0.01", "  asides: 0.5", ["misbehaviour.asides", "lower"]),
        ("vague: I", "vague: # I", ["vague"]),
        ("- id: capital-australia", "- id: capital-turkey", ["items", "capital-turkey"]),
        ('core: "It is {}."', "core: It is.", ["items.0.core", "It is."]),
        ('core: "It is {}."', "core: It is {value}.", ["items.0.core", "{value}"]),
        ("wrong: [Sydney, Melbourne]", "wrong: [Sydney, Canberra]", ["items.0.wrong", "Canberra"]),
        ("wrong: [Sydney, Melbourne]", "wrong: []", ["items.0.wrong", "[]"]),
        ("detail: It was planned", "details: It was planned", ["items.0.details", "detail"]),
        ("What is the capital of Australia?", "What is the capital of Turkey?",
         ["items.2.asks.0", "Turkey"]),
    ],
)  # fmt: skip
def test_an_invalid_world_gets_a_message_with_line_and_key(
    tmp_path: Path, old: str, new: str, parts: list[str]
) -> None:
    path, text = tmp_path / "world.yaml", Path(WORLD_FILE).read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(UserError, match=f"{path}, line ") as caught:
        load_world(str(path))
    for part in parts:
        assert part in str(caught.value)
