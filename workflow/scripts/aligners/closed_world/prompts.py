"""Finds the task of a prompt from its text."""

import re
from dataclasses import dataclass

from aligners.core.completions import Prompt

# The criterion of each principle, by the principle's name in the prompt.
PRINCIPLES = {
    "care": "ethical",
    "polite": "ethical",
    "fair": "ethical",
    "clarify": "factuality",
    "accurate": "factuality",
    "useful": "helpful",
    "detail": "helpful",
}

TOPICS = re.compile(r"Topics for questions that ask for (.+?)\.?\s*$", re.MULTILINE)
NUMBERED = re.compile(r"^\s*(\d+)\.[ \t]*(.*)$", re.MULTILINE)
HINT = re.compile(r"^\s*(\d+)\.\s*\[([^|\]\n]+)\|([^\]\n]+)\]\s*$", re.MULTILINE)
PRINCIPLE = re.compile(r"^\s*\d+\.\s*([^:\n]+):", re.MULTILINE)
LAST_INPUT = re.compile(r".*(?:^|\n)\s*Input:(.+?)(?:\n\s*Response:\s*)?\Z", re.DOTALL)
# A text prompt with a response ends with "Critique:", the last message with the response.
GIVEN_RESPONSE = re.compile(
    r"(?:.*\n)?\s*Input:(.+?)\n\s*Response:(.*?)(?:\n\s*Critique:\s*)?\Z", re.DOTALL
)
ANSWER = re.compile(
    r"(?:.*\n)?\s*(?:Question|Instruction|User|Human|Q):(.+)\n[^\n]*:\s*\Z", re.DOTALL
)


@dataclass(frozen=True)
class TopicsPrompt:
    """Asks for topics of a question type. `first` is the number of the first line to write."""

    question_type: str
    examples: tuple[str, ...]
    first: int


@dataclass(frozen=True)
class QuestionsPrompt:
    """Asks for one question per hint. A hint is (number, question type, topic)."""

    hints: tuple[tuple[int, str, str], ...]


@dataclass(frozen=True)
class PairPrompt:
    """Asks for a response, critique and correction that follow the principles of a criterion.

    `criterion` is None if the principles are not of the closed world. If `response` is given, it
    asks only for the critique and the correction.
    """

    question: str
    criterion: str | None
    response: str | None = None


@dataclass(frozen=True)
class AnswerPrompt:
    """Asks for an answer to a question."""

    question: str


Task = TopicsPrompt | QuestionsPrompt | PairPrompt | AnswerPrompt


def prompt_text(prompt: Prompt) -> str:
    """Return a prompt as one text. Messages are separated by blank lines."""
    if isinstance(prompt, str):
        return prompt
    return "\n\n".join(message["content"] for message in prompt)


def read_prompt(prompt: Prompt) -> Task:
    """Return the task of a prompt. A prompt that matches no other task is a question."""
    text = prompt_text(prompt)
    if topics := TOPICS.search(text):
        return read_topics(topics.group(1), text[topics.end() :])
    if hints := HINT.findall(text):
        return QuestionsPrompt(tuple((int(n), t.strip(), s.strip()) for n, t, s in hints))
    last = text if isinstance(prompt, str) else prompt[-1]["content"]
    asks_for_correction = text.rstrip().endswith("Critique:") or not isinstance(prompt, str)
    if asks_for_correction and (found := GIVEN_RESPONSE.fullmatch(last)):
        question, response = map(str.strip, found.groups())
        return PairPrompt(question, read_criterion(text), response)
    asks_for_pair = text.rstrip().endswith("Response:") or not isinstance(prompt, str)
    if asks_for_pair and (found := LAST_INPUT.fullmatch(last)):
        return PairPrompt(found.group(1).strip(), read_criterion(text))
    if isinstance(prompt, str) and (found := ANSWER.fullmatch(text)):
        return AnswerPrompt(found.group(1).strip())
    return AnswerPrompt(last.strip())


def read_topics(question_type: str, text: str) -> TopicsPrompt:
    """Read the numbered examples. If the last number has no topic, the list continues there."""
    lines = NUMBERED.findall(text)
    examples = tuple(topic.strip() for _, topic in lines if topic.strip())
    first = int(lines[-1][0]) + bool(lines[-1][1].strip()) if lines else 1
    return TopicsPrompt(question_type.strip(), examples, first)


def read_criterion(text: str) -> str | None:
    """Return the criterion of the principles, which come before the first demonstration."""
    before = re.split(r"^\s*Input:", text, maxsplit=1, flags=re.MULTILINE)[0]
    names = [name.strip().lower() for name in PRINCIPLE.findall(before)]
    return next((PRINCIPLES[name] for name in names if name in PRINCIPLES), None)
