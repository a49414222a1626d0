"""Topics: the teacher writes topics for the questions of each type.

The stage runs in rounds. Each round shows the teacher some topics of each question type and asks
for more.
"""

import random
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from statistics import median

from aligners.configuration.criteria import load_question_types
from aligners.configuration.kinds.criteria import begins_with_capital
from aligners.configuration.kinds.synthesis import Topics
from aligners.configuration.languages import ENGLISH
from aligners.core.completions import Completion, Decoding, Failure, Request
from aligners.core.counts import Filtered, separate
from aligners.core.rows import Row, row_id, seeded_order
from aligners.llms.generator import Generator, llm_prompt
from aligners.synthesis.near_duplicates import duplicate_reasons, wording, wordings
from aligners.synthesis.numbered_lists import read_list
from aligners.synthesis.task import Task, in_language

MAXIMUM_WORDS = 3
MAXIMUM_CHARACTERS = 50
SYMBOLS = re.compile(r"//|\\u|[@_#*<>{}|]")
ABBREVIATION = re.compile(r"(\b\w\.)+$")
# After a topic, an LLM may explain it: "Career change: how to begin anew".
EXPLANATION = re.compile(r"(?<=\w)(?:\s*:\s|\s+[-–—(]).*")
# A base LLM may go on with the list of another question type.
STOP = "\n\nTopics for questions"


@dataclass(frozen=True)
class TopicsRequest:
    """A request for topics, and the topics that its prompt shows as examples."""

    request: Request
    examples: list[str]


def topics_prompt(
    question_type: str,
    examples: Sequence[str],
    wanted: int,
    chat: bool,
    languages: Sequence[str] = ENGLISH,
) -> str:
    """Return a prompt with the examples as a numbered list, which the teacher continues."""
    numbered = "\n".join(f"{number}. {topic}" for number, topic in enumerate(examples, start=1))
    first, last = len(examples) + 1, len(examples) + wanted
    form = in_language(languages)
    form += f" Write only the lines {first} to {last}, and no other text." if chat else ""
    return (
        f"Topics for questions that ask for {question_type}.\n"
        f"The list has {last} different topics. Each topic has at most {MAXIMUM_WORDS} words, "
        f"starts with a capital letter and ends without punctuation.{form}\n\n{numbered}\n{first}."
    )


def topic_reason(topic: str) -> str | None:
    """Return the name of the rule that a topic breaks, or None."""
    if not topic:
        return "empty"
    if SYMBOLS.search(topic):
        return "symbols"
    if len(topic.split()) > MAXIMUM_WORDS or len(topic) >= MAXIMUM_CHARACTERS:
        return "too_long"
    if not begins_with_capital(topic):
        return "no_capital"
    if topic[-1] in ".,;:!?" and not ABBREVIATION.search(topic):
        return "final_punctuation"
    return None


def parse_topics(
    completion: Completion, examples: Sequence[str], removed: Counter[str]
) -> list[tuple[str, str | None]]:
    """Return each line of a completion as (topic, reason to drop it or None).

    `examples` are the topics in the prompt. `removed` counts what is removed around the topics.
    """
    lines = read_list(completion, len(examples) + 1, examples, removed)
    shown = wordings(examples)
    topics = []
    for line in lines:
        topic, reason = line.text, line.reason
        if reason is None:
            topic = without_explanation(topic, removed)
            reason = "repeats_example" if wording(topic) in shown else topic_reason(topic)
        topics.append((topic, reason))
    return topics


def without_explanation(topic: str, removed: Counter[str]) -> str:
    """Return a topic without the explanation that makes it too long."""
    short = EXPLANATION.sub("", topic)
    if short == topic or topic_reason(topic) != "too_long" or topic_reason(short):
        return topic
    removed["explanation"] += 1
    return short


def choose_examples(pool: Sequence[str], count: int, *seed: object) -> list[str]:
    """Return a sample of a pool of topics. All parts of the seed decide it."""
    rng = random.Random("/".join(map(str, seed)))
    return rng.sample(list(pool), min(count, len(pool)))


def example_pools(criterion: str) -> dict[str, list[str]]:
    """Return the example topics of each question type, which the first round shows."""
    return {kind.type: list(kind.example_topics) for kind in load_question_types(criterion)}


def topic_requests(
    task: Task, pools: Mapping[str, Sequence[str]], number: int
) -> dict[str, list[TopicsRequest]]:
    """Return the requests of round `number`, from 0, for each question type.

    Each request shows its own sample of the topics in the pool of its question type.
    """
    return {
        question_type: [
            topic_request(task, question_type, pool, f"{question_type}/{number}/{prompt}")
            for prompt in range(task.synthesis.topics.prompts_per_type)
        ]
        for question_type, pool in pools.items()
    }


def topic_request(task: Task, question_type: str, pool: Sequence[str], key: str) -> TopicsRequest:
    """Return the request with the id `key`. Its examples depend on the key and the seed."""
    settings = task.synthesis.topics
    examples = choose_examples(pool, settings.examples_per_prompt, task.seed, key)
    wanted, languages = settings.topics_per_prompt, task.languages
    prompt = topics_prompt(question_type, examples, wanted, task.llm.chat, languages)
    return TopicsRequest(Request(key, llm_prompt(task.llm, prompt)), examples)


def topics_decoding(task: Task, number: int) -> Decoding:
    """Return how the topics of round `number` are sampled. Each round has its own seed."""
    return Decoding(
        max_new_tokens=task.synthesis.topics.max_new_tokens,
        temperature=task.synthesis.topics.temperature,
        top_p=task.synthesis.topics.top_p,
        top_k=task.synthesis.topics.top_k,
        stop=() if task.llm.chat else (STOP,),
        seed=task.seed + number,
    )


def read_topics(
    requests: Sequence[TopicsRequest],
    completions: Mapping[str, Completion | Failure],
    removed: Counter[str],
) -> list[tuple[str, str | None]]:
    """Return the lines of all completions, in the order of the requests (see `parse_topics`)."""
    return [
        line
        for asked in requests
        if isinstance(result := completions[asked.request.id], Completion)
        for line in parse_topics(result, asked.examples, removed)
    ]


def generate_topics(
    task: Task, generator: Generator, rounds: int, removed: Counter[str]
) -> Iterator[Filtered]:
    """Yield the topics of all rounds. A round shows examples from all topics before it.

    `removed` counts what is removed around the topics.
    """
    pools = example_pools(task.criterion)
    for number in range(rounds):
        requests = topic_requests(task, pools, number)
        completions = generator.complete_all(
            [asked.request for asked in chain.from_iterable(requests.values())],
            topics_decoding(task, number),
            f"{task.criterion} topics, round {number + 1} of {rounds}",
        )
        for question_type, pool in pools.items():
            lines = read_topics(requests[question_type], completions, removed)
            for position, (topic, reason) in enumerate(lines):
                yield topic_row(task.criterion, question_type, topic, number, position), reason
            pool.extend(topic for topic, reason in lines if reason is None)


def topic_row(criterion: str, question_type: str, topic: str, round_number: int, line: int) -> Row:
    """Return the row of a topic. `line` numbers the lines of a question type in a round."""
    return {
        "id": row_id(criterion, question_type, str(round_number), str(line), topic),
        "criterion": criterion,
        "question_type": question_type,
        "topic": topic,
        "round": round_number,
    }


def deduplicate_topics(rows: Iterable[Row], shingle: int, similarity: float) -> Iterator[Filtered]:
    """Drop exact and near-duplicates within each question type; keep the first of them."""
    rows = list(rows)
    by_type: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        by_type[row["question_type"]].append(row)
    reasons = {
        question_type: iter(
            duplicate_reasons(
                [row["topic"] for row in group], shingle, similarity, f"{question_type} topics"
            )
        )
        for question_type, group in by_type.items()
    }
    for row in rows:
        yield row, next(reasons[row["question_type"]])


def distinct_topics(rows: Sequence[Row], settings: Topics, seed: int) -> Iterator[Filtered]:
    """Drop duplicates and near-duplicates, then balance the others over the question types."""
    near = settings.near_duplicates
    kept, dropped = separate(deduplicate_topics(rows, near.shingle, near.similarity))
    yield from ((row, row["reason"]) for row in dropped)
    yield from balance_topics(kept, settings.balance.largest_to_median, seed)


def balance_topics(rows: Sequence[Row], largest_to_median: float, seed: int) -> Iterator[Filtered]:
    """Limit the topics of each question type to a multiple of the median over types, and shuffle.

    With the median, types with few topics do not reduce the others.
    """
    sizes = Counter(row["question_type"] for row in rows)
    cap = max(1, int(largest_to_median * median(sizes.values()))) if sizes else 0
    seen = Counter[str]()
    for row in sorted(rows, key=lambda row: seeded_order(row, seed)):
        yield row, "over_cap" if seen[row["question_type"]] >= cap else None
        seen[row["question_type"]] += 1
