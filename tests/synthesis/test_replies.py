"""The parsers of topics, questions and pairs read what LLMs write around their answers."""

import json
import os
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from aligners.configuration.kinds.synthesis import Language
from aligners.core.completions import Completion, Request
from aligners.synthesis.filters import filter_pair
from aligners.synthesis.pair_replies import parse_pair
from aligners.synthesis.questions import Hint, HintGroup, parse_questions
from aligners.synthesis.topics import parse_topics

DATA = os.environ.get("ALIGNERS_TEST_DATA", "")
REPLIES = Path(DATA) / "cases" / "replies.jsonl"

TOPICS = ["Moving house", "Night shifts", "Old friends"]
QUESTIONS = ["Why do owls hoot?", "Describe a lighthouse.", "My cat is ill. What now?"]
PAIR = {
    "response": "They hoot to annoy you, fool.",
    "critique": "The response violates the polite principle. It calls the person a fool.",
    "correction": "They hoot to mark their territory.",
}
PLAIN_PAIR = "Response: {response}\nCritique: {critique}\nCorrection: {correction}".format(**PAIR)


def read_topics(reply: str, first: int = 6, complete: bool = True) -> list[str]:
    """Return the topics of a reply to a prompt that ends with the number `first`."""
    completion = Completion("", reply, "stop" if complete else "length")
    lines = parse_topics(completion, ["Example"] * (first - 1), Counter())
    return [topic for topic, reason in lines if reason is None]


def read_questions(
    reply: str, first: int = 6, hints: int = 3, complete: bool = True
) -> dict[int, str]:
    """Return the questions of a reply by their number."""
    completion = Completion("", reply, "stop" if complete else "length")
    asked = [Hint("advice", "Cats", number) for number in range(first, first + hints)]
    group = HintGroup(Request("", ""), ["An example?"] * (first - 1), asked)
    lines = parse_questions(completion, group, Counter())
    return {line.hint.ordinal: line.text for line in lines if line.reason is None}


def read_pair(reply: str) -> dict[str, str] | str:
    """Return the texts of the pair in a reply, as its critique decides; or the reason."""
    fields, reason = parse_pair(Completion("", reply, "stop"), Counter())
    if reason:
        return reason
    pair, reason = filter_pair({"question": "Why?", **fields}, Language(), Counter())
    return reason or {
        "response": pair["response"],
        "critique": pair["critique"],
        "correction": pair["aligned_response"],
    }


def listed(line: str) -> str:
    """Return a list with a form of line: {n} counts from 6 and {one} from 1."""
    items = zip(QUESTIONS, TOPICS, strict=True)
    return "\n".join(
        line.format(n=6 + index, one=1 + index, q=question, t=topic)
        for index, (question, topic) in enumerate(items)
    )


NUMBERS = [
    "{n}. ", "{n}) ", "({n}) ", "[{n}] ", "{n}: ", "{n} - ", "{n} – ", "{n}.", "{n}\\. ", "  {n}. ",
    "**{n}.** ", "**{n}**. ", "**{n}** ", "__{n}.__ ", "### {n}. ", "- {n}. ", "> {n}. ",
    "#{n} ", "Line {n}: ", "{n}、", "{n}\uFE0F\u20E3 ", "✨ {n}. ", "{n}. ✅ ", "({n}). ", "a) ",
    "{one}. ", "{one}) ", "**{one}.** ", "1. ", "- ", "* ", "• ", "– ", "",
]  # fmt: skip
AROUND_AN_ITEM = [
    "{}", "**{}**", "*{}*", "__{}__", '"{}"', "“{}”", "'{}'", "‘{}’", "«{}»", "`{}`", '"{}",',
]  # fmt: skip
AROUND_A_LIST = [
    "{}",
    "Certainly! Here's the list that you asked for:\n\n{}",
    "Here are some more:\n\n{}\n\nLet me know if you'd like more!",
    "{}\n\nI hope these help!",
    "{}\n\nWould you like me to write others?",
    "{}\n\nNote: I left out what was said already.",
]
AROUND_ANY_REPLY = [
    "<think>\n6. One?\n7. Two?\n</think>\n\n{}",
    "<think></think>\n{}",
    "<thinking>\nResponse: a\nCritique: b\nCorrection: c\n</thinking>\n{}",
    "<reasoning>Hm.</reasoning>\n\n{}",
    "<THINK>Hm.</THINK>{}",
    "<think>a</think>\n<think>b</think>\n{}",
    "<think>a</think> <think>b</think>{}",
    "Okay, 6. So?\n</think>\n\n{}",
    "I should be short.</think>{}",
    "<|begin_of_thought|>Hm.<|end_of_thought|>\n{}",
    "[THINK]Hm.[/THINK]{}",
    "◁think▷Hm.◁/think▷{}",
    "<|START_THINKING|>6. Hm?<|END_THINKING|><|START_RESPONSE|>{}<|END_RESPONSE|>",
    "<think>Hm.</think><response>{}</response>",
    "Assistant: {}",
    "<|channel|>analysis<|message|>6. Hm?<|end|><|start|>assistant<|channel|>final<|message|>{}",
    "analysisWe need lines.assistantfinal{}",
    "{}<|im_end|>",
    "{}<|im_end|>\n<|im_start|>user\nMore?",
    "{}</s>",
    "{}<|eot_id|>",
    "{} [/INST]",
    "{}\n<end_of_turn>\n<start_of_turn>user\n9. More?",
    "{}<|endoftext|>Once upon a time",
    "{}<｜end▁of▁sentence｜>",
    "<|im_start|>assistant\n{}<|im_end|>",
    "<|start_header_id|>assistant<|end_header_id|>\n\n{}",
    "[/INST] {}",
    "<s> {}</s>",
    "<think>Hm.</think>\n<answer>\n{}\n</answer>",
    "<output>{}</output>\nDone.",
    "```\n{}\n```",
    "```markdown\n{}\n```",
    "---\n{}\n---",
]


@pytest.mark.parametrize("around", AROUND_A_LIST)
@pytest.mark.parametrize("number", NUMBERS)
def test_lists_are_read_in_every_form_of_numbers(number: str, around: str) -> None:
    assert read_topics(around.format(listed(f"{number}{{t}}"))) == TOPICS
    questions = read_questions(around.format(listed(f"{number}{{q}}")))
    assert questions == dict(enumerate(QUESTIONS, start=6))


@pytest.mark.parametrize("around", AROUND_AN_ITEM)
def test_items_are_read_without_quotes_and_emphasis(around: str) -> None:
    assert read_topics(listed("{n}. " + around.replace("{}", "{t}"))) == TOPICS
    questions = read_questions(listed("{n}. " + around.replace("{}", "{q}")))
    assert questions == dict(enumerate(QUESTIONS, start=6))


@pytest.mark.parametrize(
    "line",
    [
        "{n}. [advice | Cats] {q}",
        "{n}. [advice | Cats]: {q}",
        "{n}. **[advice | Cats]** {q}",
        "{n}. **[advice | Cats]**: {q}",
        "{n}. **[advice | Cats] {q}**",
        "{n}. *[advice | Cats]* {q}",
        "**{n}. [advice | Cats]** {q}",
        "**{n}. {q}**",
        "{n}. [advice | Music [80s]] {q}",
        "{n}. (advice | Cats) {q}",
        "{n}. advice | Cats: {q}",
        "{n}. **advice | Cats:** {q}",
        "{n}. **Cats:** {q}",
        "{n}. **Cats** – {q}",
        "{n}. {q} [advice | Cats]",
        "{n}. **Question:**\n{q}",
        "{n}. [advice, Cats] {q}",
        "{n}. (Advice) {q}",
        "{n}. Advice: {q}",
        "{n}. {q} (This tests one principle.)",
        "{n}. {q} *(Note: for advice.)*",
        '{n}. [advice | Cats] "{q}"',
        "{n}. [advice | Cats]\n{q}",
        "{n}. [advice | Cats]\n   - {q}",
        "{n}. [advice | Cats]\n→ {q}",
        "{n}. [advice | Cats] -> {q}",
        "{n}. {q} — [advice | Cats]",
        "### Question {n}\n**{q}**",
        "{n}. User: {q}",
        "**{n}. [advice | Cats]**\n\n{q}\n",
        "{n}. [advice | Cats]\n   **Question:** {q}",
        "{n}. Question: {q}",
        "Question {n}: {q}",
        "**Question {n}:** {q}",
        "Q{n}: {q}",
        "| {n} | {q} |",
        "| {n} | advice | Cats | {q} |",
        "Frage {n}: {q}",
        "**Frage {n}:** {q}",
        "{n}. **Frage:** {q}",
        "{n}. {q}\n   - This asks for advice.",
        "{n}. {q}\n   (This tests one principle.)",
    ],
)
def test_questions_are_read_without_hints_and_labels(line: str) -> None:
    assert read_questions(listed(line)) == dict(enumerate(QUESTIONS, start=6))


@pytest.mark.parametrize(
    "line",
    [
        "{n}. **{t}**: how to do it well, and why",
        "{n}. **{t}** – how to do it well, and why",
        "{n}. {t}: the many ways of doing it",
        "{n}. {t} (for adults and their children)",
        "{n}. Topic: {t}",
        "**Topic {n}:** {t}",
        "Thema {n}: {t}",
        "| {n} | {t} |",
        "| {n} | {t} | how to do it |",
        "{n}. {t} ✨",
    ],
)
def test_topics_are_read_without_labels_and_explanations(line: str) -> None:
    assert read_topics(listed(line)) == TOPICS


@pytest.mark.parametrize("columns", ["| # | Item |\n|---|---|", "| Item |\n|:---:|"])
def test_the_titles_of_a_table_are_no_items(columns: str) -> None:
    row = "| {n} | {t} |" if "#" in columns else "| {t} |"
    assert read_topics(f"{columns}\n{listed(row)}") == TOPICS


@pytest.mark.parametrize("around", AROUND_ANY_REPLY)
def test_thoughts_tokens_and_fences_are_removed_at_every_stage(around: str) -> None:
    assert read_topics(around.format(listed("{n}. {t}"))) == TOPICS
    questions = read_questions(around.format(listed("{n}. {q}")))
    assert questions == dict(enumerate(QUESTIONS, start=6))
    assert read_pair(around.format(PLAIN_PAIR)) == PAIR


@pytest.mark.parametrize(
    "reply",
    [
        "Antwort: {response}\nKritik: {critique}\nKorrektur: {correction}",
        "**Antwort:** {response}\n\n**Kritik:** {critique}\n\n"
        "**Korrigierte Antwort:** {correction}",
        "### Ursprüngliche Antwort\n{response}\n### Kritik der Antwort\n{critique}\n"
        "### Verbesserte Antwort\n{correction}",
        "Antwort: {response}\nKritik: {critique}\nKorrektur: {correction}\n\nEingabe: Warum?",
        '{{"antwort": "{response}", "kritik": "{critique}", "korrektur": "{correction}"}}',
    ],
)
def test_the_labels_of_a_pair_may_be_german(reply: str) -> None:
    assert read_pair(reply.format(**PAIR)) == PAIR


@pytest.mark.parametrize(
    "reply",
    [
        "",
        "<think>\n6. Why not this?\n7. Or this?",
        "I'm sorry, but I can't help with that.",
        "I cannot write such questions.\n\nShall I write others?",
        "Sure! Here are the questions:",
    ],
)
def test_a_reply_without_an_item_has_none(reply: str) -> None:
    assert (read_topics(reply), read_questions(reply)) == ([], {})


def test_own_marks_of_a_question_stay() -> None:
    questions = {
        6: "Cats: Why do they purr (this week)?",
        7: "Dear Bob (my friend) - what now?",
        8: "(Sigh) Why me? (It is late.)",
        9: '"Yes" or "no"?',
        10: "What is 2**3 + 3**2 in snake_case_style?",
        11: "At 10:30, is it rude to say <think>?",
        12: "I can't help my son with fractions. Would you explain them?",
        13: "Is there anything else I can do about ants?",
    }
    reply = "\n".join(f"{number}. {question}" for number, question in questions.items())
    assert read_questions(reply, hints=8) == questions


def test_a_topic_in_brackets_after_a_question_is_no_part_of_it() -> None:
    reply = "6. Why do they purr? (Cats)\n7. Why do they purr? *[advice: Cats]*\n8. Why (cats)?"
    questions = {6: "Why do they purr?", 7: "Why do they purr?", 8: "Why (cats)?"}
    assert read_questions(reply) == questions


def test_hints_alone_take_no_number_from_the_questions_after_them() -> None:
    reply = listed("{n}. [advice | Cats]") + "\n\n" + listed("{n}. {q}")
    assert read_questions(reply) == dict(enumerate(QUESTIONS, start=6))


def test_json_is_read() -> None:
    lines = ",\n".join(f'  "{topic}"' for topic in TOPICS)
    assert read_topics(f"```json\n[\n{lines}\n]\n```") == TOPICS
    assert read_topics(json.dumps({"topics": TOPICS})) == TOPICS
    questions = dict(enumerate(QUESTIONS, start=6))
    rows = [{"number": number, "question": text} for number, text in questions.items()]
    assert (
        read_questions(f"Here you go:\n\n```json\n{json.dumps(rows, indent=2)}\n```") == questions
    )
    assert read_questions(json.dumps(questions)) == questions
    assert read_pair(json.dumps(PAIR)) == PAIR


def test_a_comma_after_the_last_item_is_read() -> None:
    lines = "".join(f"{json.dumps(topic)},\n" for topic in TOPICS)
    assert read_topics(f"```json\n[\n{lines}]\n```") == TOPICS
    odd = {**PAIR, "correction": 'Write "[1, 2,]" or {a,}.'}
    fields = ",\n".join(f"{json.dumps(name)}: {json.dumps(text)}" for name, text in odd.items())
    assert read_pair(f"{{{fields},\n}}") == odd


@pytest.mark.parametrize(
    "reply",
    [
        "## More topics\n{}",
        "**More topics**\n\n{}",
        "Additional topics for advice:\n{}",
        "# Topics\n\n{}\n\nLet me know if you'd like more!",
    ],
)
def test_the_heading_of_a_list_without_marks_is_no_item(reply: str) -> None:
    assert read_topics(reply.format("\n".join(TOPICS))) == TOPICS
    questions = read_questions(reply.format("\n".join(QUESTIONS)))
    assert questions == dict(enumerate(QUESTIONS, start=6))


@pytest.mark.parametrize("tag", ["question", "topic", "item", "li"])
def test_a_list_in_tags_is_read(tag: str) -> None:
    def tagged(items: list[str]) -> str:
        return "<ol>\n" + "\n".join(f"<{tag}>{item}</{tag}>" for item in items) + "\n</ol>"

    assert read_topics(tagged(TOPICS)) == TOPICS
    assert read_questions(tagged(QUESTIONS)) == dict(enumerate(QUESTIONS, start=6))


@pytest.mark.parametrize("row", ["| {n} | {q} | advice |", "| {n} | Cats | {q} | advice |"])
def test_the_question_may_be_in_any_column_of_a_table(row: str) -> None:
    assert read_questions(listed(row)) == dict(enumerate(QUESTIONS, start=6))


@pytest.mark.parametrize("name", ["question", "request", "text"])
def test_items_in_json_may_have_other_values_beside(name: str) -> None:
    rows = [{name: text, "reason": "It tests one principle at length."} for text in QUESTIONS]
    questions = dict(enumerate(QUESTIONS, start=6))
    assert read_questions(json.dumps({"demand": "polite", "questions": rows})) == questions


# A line of a reply that is neither a topic nor a question, and how it is counted.
OTHER_LINES = [
    "Sure! Here is the list:",
    "## The list",
    "**About life**",
    "These lines cover many things.",
    "*Note: all of them are short.*",
    "Let me know if you'd like more!",
    "I hope that they are what you need.",
    "Principles applied: polite, kind",
]


@pytest.mark.parametrize("line", OTHER_LINES)
@pytest.mark.parametrize(
    "around",
    [
        "{line}\n\n{items}", "{items}\n\n{line}", "```\n{line}\n{items}\n```",
        "{line}\n```json\n{json}\n```", "```json\n{json}\n```\n{line}", "{line}\n\n{table}",
    ],
)  # fmt: skip
def test_every_line_of_a_list_is_an_item_or_dropped(line: str, around: str) -> None:
    reply = around.format(
        line=line,
        items=listed("{n}. {q}"),
        json=json.dumps(QUESTIONS),
        table="| No. | Question |\n|---|---|\n" + listed("| {n} | {q} |"),
    )
    hints = [Hint("advice", "Cats", number) for number in (6, 7, 8)]
    group = HintGroup(Request("", ""), ["An example?"] * 5, hints)
    lines = parse_questions(Completion("", reply, "stop"), group, Counter())
    assert [one.text for one in lines if one.reason is None] == QUESTIONS
    plain = line.strip("*#- ")
    assert plain in [one.text.strip("*#- ") for one in lines if one.reason == "unnumbered"]


def test_words_beside_an_item_are_counted() -> None:
    for reply in [
        "6. Why? (This tests one principle.)",
        "6. [advice | Cats] Why do they?",
        "| 6 | Cats | Why do they? |",
        '[{"number": 6, "question": "Why?", "reason": "polite"}]',
    ]:
        removed = Counter[str]()
        group = HintGroup(Request("", ""), ["An example?"] * 5, [Hint("advice", "Cats", 6)])
        parse_questions(Completion("", reply, "stop"), group, removed)
        assert removed["explanation"] == 1, reply
    removed = Counter[str]()
    parse_topics(Completion("", "6. Cats\n- 7. Dogs\n(8) Two owls", "stop"), ["Ex"] * 5, removed)
    assert not removed


EXAMPLE_TOPICS = ["Moving house", "Night shifts", "C++"]


@pytest.mark.parametrize(
    "topic",
    ["Moving house", "MOVING HOUSE", "“Moving house”", "**Moving house**.", "Moving-house",
     "Moving house!", "Moving house (in old age)", "Night shifts: how to sleep in the day"],
)  # fmt: skip
def test_a_topic_that_repeats_an_example_is_dropped(topic: str) -> None:
    reply = f"6. {topic}\n7. Moving houses\n8. C"
    lines = parse_topics(Completion("", reply, "stop"), EXAMPLE_TOPICS, Counter())
    assert [reason for _, reason in lines] == ["repeats_example", None, None]


@pytest.mark.parametrize(
    "question",
    ["What is 2+2?", "what is 2+2", "“What is 2+2?”", "[advice | Cats] What is 2+2?",
     "Advice: What is 2+2?", "**What** is 2+2!"],
)  # fmt: skip
def test_a_question_that_repeats_an_example_is_dropped(question: str) -> None:
    hints = [Hint("advice", "Cats", number) for number in (2, 3)]
    group = HintGroup(Request("", ""), ["What is 2+2?"], hints)
    reply = f"2. {question}\n3. What is 2-2?"
    lines = parse_questions(Completion("", reply, "stop"), group, Counter())
    assert [line.reason for line in lines] == ["repeats_example", None]


def test_a_list_in_one_line_is_read() -> None:
    assert read_topics(listed("{n}. {t},").replace("\n", " ").strip(",")) == TOPICS
    questions = dict(enumerate(QUESTIONS, start=6))
    assert read_questions(f"Sure! {listed('{n}. {q}')}".replace("\n", " ")) == questions
    reply = f"Sure! {listed('{n}. {q}')}"
    assert read_questions(reply) == questions
    assert read_questions("6. Is it 3. or 5. of May?") == {6: "Is it 3. or 5. of May?"}


def test_a_question_may_go_on_in_the_next_line() -> None:
    reply = "6. My cat is ill.\n   What now?\n7. Describe a cat.\n\nDo these suit you?"
    assert read_questions(reply) == {6: "My cat is ill. What now?", 7: "Describe a cat."}


FORMS_OF_A_PAIR = [
    " {response}\nCritique: {critique}\nCorrection: {correction}",
    " {response}\n\n**Critique:** {critique}\n\n**Correction:** {correction}",
    *[
        f"{label.format('Response')} {{response}}\n{label.format('Critique')} {{critique}}\n"
        f"{label.format('Correction')} {{correction}}"
        for label in [
            "{}:", "**{}:**", "**{}**:", "*{}:*", "### {}:\n\n", "## {}\n", "#### **{}**\n", "{}\n",
            "✅ {}:", "📝 **{}:**", "**{}**\n>", "**{}**\n", "{} -", "{} —", "- {}:", "[{}]:",
            "> {}:", "The {}:", "---\n{}:\n", "{} [polite]:",
        ]
    ],
    "response: {response}\ncritique: {critique}\ncorrection: {correction}",
    "RESPONSE: {response}\nCRITIQUE: {critique}\nCORRECTION: {correction}",
    "1. Response: {response}\n2. Critique: {critique}\n3. Correction: {correction}",
    "Response: {response}\nCritique (polite): {critique}\nCorrection (short): {correction}",
    "Answer: {response}\nCritique: {critique}\nCorrection: {correction}",
    "Initial response: {response}\nCritique of the response: {critique}\nRevision: {correction}",
    "Response: {response}\nFeedback: {critique}\nCorrection: {correction}",
    "AI Response: {response}\nSelf-critique: {critique}\nCorrection: {correction}",
    "Model response: {response}\nCritique: {critique}\nCorrection: {correction}",
    "**Response: {response}**\n**Critique: {critique}**\n**Correction: {correction}**",
    "<response>{response}</response>\n<critique>{critique}</critique>"
    "<correction>\n{correction}\n</correction>",
    "<response>{response}</response>\n<critique>{critique}</critique>\n"
    "<corrected_response>{correction}</corrected_response>",
    "<response>{response}</response><critique>{critique}</critique>"
    "<revised-answer>{correction}</revised-answer>",
    PLAIN_PAIR + "\n\nFinal response: They hoot.",
    PLAIN_PAIR + "\n\nHuman: And why do cats purr?",
    PLAIN_PAIR + "\nCritique: Nothing is wrong.\nCorrection: None.",
    PLAIN_PAIR.replace("\n", "\r\n"),
    "### Response\r\n{response}\r\n### Critique\r\n{critique}\r\n### Correction\r\n{correction}",
    *[
        f"Response: {{response}}\nCritique: {{critique}}\n{label} {{correction}}"
        for label in [
            "Revised response:", "Corrected response:", "Improved answer:", "**Revised Response:**",
            "### Corrected Version\n", "Suggested correction:", "Correct response:",
            "Revised:", "Here is the corrected response:\n", "Final answer:",
            "Correction: Here is the corrected response:\n\n", "Correction:\n\n",
            "Correction:\nResponse:", "Correction: Instead, the response should be:",
            "Correction: A more polite response would be:",
        ]
    ],
    'Response: "{response}"\nCritique: {critique}\nCorrection: "{correction}"',
    "Response: “{response}”\nCritique: {critique}\nCorrection: “{correction}”",
    "Response: {response}\nCritique: {critique}\nCorrection: **{correction}**",
    "Response:\n```\n{response}\n```\nCritique: {critique}\nCorrection:\n```\n{correction}\n```",
    "Response: <think>\nHm.\n</think>\n{response}\nCritique: {critique}\nCorrection: {correction}",
    "Here's the response, the critique and the correction:\n\n" + PLAIN_PAIR,
    "Certainly!\n\n---\n\n" + PLAIN_PAIR,
    "## The pair\n\n" + PLAIN_PAIR,
    "Input: Why do owls hoot?\n" + PLAIN_PAIR,
    "Here is the pair:\n\n```\n" + PLAIN_PAIR + "\n```\nLet me know if you want more.",
    PLAIN_PAIR + "\n\nInput: What next?\nResponse: Nothing.",
]  # fmt: skip


@pytest.mark.parametrize("form", FORMS_OF_A_PAIR)
def test_pairs_are_read_in_every_form_of_labels(form: str) -> None:
    assert read_pair(form.format(**PAIR)) == PAIR


@pytest.mark.parametrize(
    ("after", "kind"),
    [
        ("\n\nNote: The insult was removed, and the fact was kept.", "note"),
        ("\n(Note: I removed the insult.)", "note"),
        (" (Note: the insult was removed.)", "note"),
        ("\n[Note: the rest is unchanged.]", "note"),
        ("\n\n*Note: I removed the insult.*", "note"),
        ("\n\nPrinciples applied: polite.", "note"),
        ("\n\n[End of the pair]", "note"),
        ("\n\nInput: Why do cats purr?\nResponse: So.", "continuation"),
        ("\n\nHuman: Why do cats purr?", "continuation"),
        ("\n\nQuestion: Why do cats purr?\nResponse: So.", "continuation"),
        ("\nCritique: Nothing is wrong.\nCorrection: None.", "continuation"),
        ("\n\nFinal response: They hoot.", "continuation"),
        ("\n\n**Note:** I have removed the insult and kept the rest.", "note"),
        ("\n\n*I removed the insult and kept the answer.*", "note"),
        ("\n\nI removed the insult.", "note"),
        ("\n\nThis correction removes the insult.", "note"),
        ("\n\nThe revised response follows the polite principle.", "note"),
        ("\n\nChanges made:\n- Removed the insult\n\n- Kept the fact", "note"),
        ("\n\n### Explanation of changes\nThe insult is gone.", "note"),
        ("\n\nExplanation: The response now follows the principles.", "note"),
        ("\n\nNote that the response now avoids the insult.", "note"),
        ("\n\n(Removed the insult.)", "note"),
        ("\n*(Insult removed)*", "note"),
        ("\n\nChanges: removed the insult.", "note"),
        ("\n\nReasoning: The response insulted the person.", "note"),
        ("\n\nI've kept it short and polite.", "note"),
        ("\n\nReady for the next one!", "offer"),
        ("\n\nPlease provide the next input.", "offer"),
        ("\n\nHow else can I help you?", "offer"),
        ("\n\nLet me know if you'd like me to try another one!", "offer"),
        ("\n\nWould you like me to continue with the next input?", "offer"),
        ("\n\nI hope this helps!", "offer"),
        ("\n\nPlease let me know if you need any further changes.", "offer"),
        ("\n\nIs there anything else I can help with?", "offer"),
        ("\n\n---\n*Let me know if you'd like more examples!*", "offer"),
        ("\n\nNote: I removed the insult.\n\nLet me know if you need more.", "note"),
    ],
)
def test_notes_and_offers_after_a_correction_are_removed_and_counted(after: str, kind: str) -> None:
    removed = Counter[str]()
    fields, reason = parse_pair(Completion("", PLAIN_PAIR + after, "stop"), removed)
    assert (fields["aligned_response"], reason) == (PAIR["correction"], None)
    assert removed[kind] == 1


@pytest.mark.parametrize(
    "answer",
    [
        "Boil it.\n\nNote: at altitude it takes longer.\n\nThen peel it.",
        "Boil it.\n\nNote: at altitude it takes longer.",
        "Steps:\n1. Boil.\n2. Peel.\n\n- Salt\n- Water",
        "The tags <think> and </think> mark a thought.",
        'Say: "I am sorry." Then go.',
        "**Yes**, of course.\n\n**No**, never.",
        "Let me know which phone you have, so that I can help.",
        "It begins with Critique: and ends with Correction: in one line.",
        "The answer is 3.14.\n\nExplanation: pi is 3.14.",
        "Add 2 and 2.\n\nThe final answer is 4.",
        "Yes.\n\nThe new version is faster.",
        "It was dark.\n\nI replaced the lamp.",
        "Yes.\n\nNote: this follows the principle of supply and demand.",
        "Add them.\n\n(The answer is 4.)",
        "Add them.\n\n*The answer is 4.*",
        "See.\n\nNote that the response of the eye is slow.",
        "Why not?\n\nWould you like tea or coffee?",
        "What do you mean by bank? A river's or a money bank?",
        "Dear Bob,\n\nI hope it is warm.\n\nLet me know how it goes.",
        "- Removed the old tyre\n- Added a new one",
        "Use this:\n\n```python\nprint(1)\n```",
        "Use this: ```python\nprint(1)\n```",
        "```python\nprint(1)\n```",
        "Use `<|im_end|>` at the end, or <|im_end|> alone.",
        "* Eat *\n* Sleep *",
        "5 * 3 = 15 and 2 * 2 = 4",
        "Here is a list:\n- a\n- b",
        "Sure! Here are some ideas: walk, swim.",
        "He said (see above) no (never)",
        "Question: Why?\nAnswer: So.",
        "Take out the old one.\n\nRemoved parts go to the bin.",
        "Add them.\n\nNote that the answer is 4.",
        "> To be\n\nIs a quotation.",
        "The correct answer is: 4.",
        "Roles:\n\n- Admin\n- User\n- Human",
        "[1, 2]",
    ],
)
def test_what_belongs_to_an_answer_stays(answer: str) -> None:
    critique = PAIR["critique"]
    texts = {"response": "Go away.", "critique": critique, "aligned_response": answer}
    reply = f"Response: Go away.\nCritique: {critique}\nCorrection: {answer}"
    assert parse_pair(Completion("", reply, "stop"), Counter()) == (texts, None)
    texts = {"response": answer, "critique": critique, "aligned_response": "No."}
    reply = f" {answer}\nCritique: {critique}\nCorrection: No."
    assert parse_pair(Completion("", reply, "stop"), Counter()) == (texts, None)


def test_a_note_that_is_also_in_the_response_is_part_of_the_answer() -> None:
    note = "Boil it.\n\nNote: I changed the tone of the answer."
    reply = f"Response: You fool. {note}\nCritique: It insults.\nCorrection: {note}"
    fields, _ = parse_pair(Completion("", reply, "stop"), Counter())
    assert fields["aligned_response"] == note


JSON_PAIR = json.dumps(PAIR)


@pytest.mark.parametrize(
    ("reply", "counts"),
    [
        (JSON_PAIR, {}),
        (json.dumps(PAIR, indent=2), {}),
        (json.dumps({"pair": PAIR}), {}),
        (json.dumps({name.title(): text for name, text in PAIR.items()}), {}),
        (JSON_PAIR.replace("correction", "corrected_response"), {}),
        (JSON_PAIR.replace("correction", "correctedResponse"), {}),
        (f"<think>{{}}</think>{JSON_PAIR}", {"thought": 1}),
        (f"```json\n{JSON_PAIR}\n```", {"code_fence": 1}),
        (f"Here is the pair:\n{JSON_PAIR}", {"introduction": 1}),
        (f"{JSON_PAIR}\nThis pair is rude.", {"continuation": 1}),
        (f"[{JSON_PAIR}, {JSON_PAIR}]", {"continuation": 1}),
        (f'{JSON_PAIR[:-2]}\\n\\nNote: I removed the insult."}}', {"note": 1}),
        (f'{JSON_PAIR[:-2]}\n\nNote: I removed the insult."}}', {"note": 1}),
        (PLAIN_PAIR, {}),
    ],
)
def test_a_pair_in_json_is_read_as_one_with_labels(reply: str, counts: dict[str, int]) -> None:
    removed = Counter[str]()
    fields, reason = parse_pair(Completion("", reply, "stop"), removed)
    assert (fields.get("aligned_response"), reason) == (PAIR["correction"], None)
    assert (fields["response"], fields["critique"]) == (PAIR["response"], PAIR["critique"])
    assert removed == counts


@pytest.mark.parametrize("start", ["{start}", "```json\n{start}", "Here it is:\n\n{start}"])
@pytest.mark.parametrize("length", [1, 12, 60, len(JSON_PAIR) - 1])
def test_json_that_reached_the_limit_is_cut_off(start: str, length: int) -> None:
    reply = start.format(start=JSON_PAIR[:length])
    assert parse_pair(Completion("", reply, "length"), Counter()) == ({}, "cut_off")
    given = json.dumps({"critique": "c", "correction": "d"})[:length]
    if length < 30:
        result = parse_pair(Completion("", start.format(start=given), "length"), Counter(), "Hm.")
        assert result == ({}, "cut_off")


@pytest.mark.parametrize(
    ("fields", "reason"),
    [({"response": "a", "critique": "c"}, "no_correction"),
     ({"response": "a", "correction": "c"}, "no_critique"),
     ({"critique": "c", "correction": None}, "no_correction"), ({"a": "c"}, "no_critique")],
)  # fmt: skip
def test_json_without_a_part_has_the_reason(fields: dict[str, Any], reason: str) -> None:
    reply = json.dumps(fields)
    assert parse_pair(Completion("", reply, "stop"), Counter()) == ({}, reason)


def test_json_of_a_given_response_and_odd_characters_are_read() -> None:
    reply = '{"critique": "A \\ud83d.", "correction": "Line 1\\nCritique: of it"}'
    fields, reason = parse_pair(Completion("", reply, "stop"), Counter(), "Hm.")
    assert reason is None
    texts = ("Hm.", "A \ufffd.", "Line 1\nCritique: of it")
    assert tuple(fields.values()) == texts


def test_an_introduction_of_a_given_response_stays_in_its_correction() -> None:
    response = "Here is a short answer: owls mark their territory."
    reply = f"Critique: Nothing is wrong.\nCorrection: {response}"
    fields, _ = parse_pair(Completion("", reply, "stop"), Counter(), response)
    assert fields["aligned_response"] == response
    fields, _ = parse_pair(Completion("", reply, "stop"), Counter(), "Owls hoot.")
    assert fields["aligned_response"] == "owls mark their territory."


@pytest.mark.parametrize("before", ["Here is my review:\n\n", "Response: Go on.\n"])
def test_text_before_the_critique_of_a_given_response_is_counted(before: str) -> None:
    removed = Counter[str]()
    reply = f"{before}Critique: Short.\nCorrection: Please go on."
    parse_pair(Completion("", reply, "stop"), removed, "Go on.")
    assert removed == {"introduction": 1}


def test_what_is_removed_is_counted_once_for_each_reply() -> None:
    removed = Counter[str]()
    reply = "<think>Hm.</think>\n```\n**6.** Night shifts\n**7.** Old friends: why\n```<|im_end|>"
    parse_topics(Completion("", reply, "stop"), ["Example"] * 5, removed)
    assert removed == {"thought": 1, "special_token": 1, "code_fence": 1, "markdown": 1}
    removed.clear()
    parse_pair(Completion("", PLAIN_PAIR, "stop"), removed)
    assert not removed


def test_a_special_token_ends_a_reply_that_reached_its_limit() -> None:
    reply = f"{PLAIN_PAIR}<|im_end|>\n<|im_start|>user\nAnd now someth"
    assert parse_pair(Completion("", reply, "length"), Counter())[1] is None
    assert parse_pair(Completion("", PLAIN_PAIR, "length"), Counter())[1] == "cut_off"


@pytest.mark.skipif(not DATA, reason="ALIGNERS_TEST_DATA is not set")
def test_handed_replies_are_read_as_expected() -> None:
    for line in REPLIES.read_text(encoding="utf-8").splitlines():
        case = json.loads(line)
        assert read_case(case) == expected_of(case), case


def read_case(case: dict[str, Any]) -> Any:
    """Return what the parser of the case's stage reads; None for a pair that is dropped."""
    reply = case["reply"]
    if case["stage"] == "topics":
        return read_topics(reply, case["first"], case["complete"])
    if case["stage"] == "questions":
        return read_questions(reply, case["first"], case["hints"], case["complete"])
    pair = read_pair(reply)
    return pair if isinstance(pair, dict) else None


def expected_of(case: dict[str, Any]) -> Any:
    """Return what should be read. The numbers of questions are keys, which JSON has as texts."""
    expected = case["expected"]
    if case["stage"] == "questions":
        return {int(number): text for number, text in expected.items()}
    return expected
