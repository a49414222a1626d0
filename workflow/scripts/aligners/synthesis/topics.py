"""Topics: the teacher writes topics for the questions of each type.

The stage runs in rounds. Each round shows the teacher some topics of each question type and asks
for more.
"""

import random
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from statistics import median

from aligners.configuration.criteria import load_question_types
from aligners.configuration.kinds.synthesis import Topics
from aligners.core.completions import Completion, Decoding, Failure, Request
from aligners.core.counts import Filtered, separate
from aligners.core.rows import Row, row_id, seeded_order
from aligners.llms.generator import Generator, llm_prompt
from aligners.synthesis.near_duplicates import duplicate_reasons
from aligners.synthesis.task import Task

MAXIMUM_WORDS = 3
MAXIMUM_CHARACTERS = 50
SYMBOLS = re.compile(r"//|\\u|[@_#*<>{}|]")
ABBREVIATION = re.compile(r"(\b\w\.)+$")
NUMBERED = re.compile(r"\s*\d+\s*[.)]\s*(?P<topic>.*)")


def topics_prompt(question_type: str, examples: Sequence[str]) -> str:
    """Return a prompt with the examples as a numbered list, which the teacher continues."""
    numbered = "\n".join(f"{number}. {topic}" for number, topic in enumerate(examples, start=1))
    return (
        f"Topics for questions that ask for {question_type}.\n"
        f"Each topic has at most {MAXIMUM_WORDS} words, starts with a capital letter and ends "
        f"without punctuation.\n\n{numbered}\n{len(examples) + 1}."
    )


def topic_reason(topic: str) -> str | None:
    """Return the name of the rule that a topic breaks, or None."""
    if not topic:
        return "empty"
    if SYMBOLS.search(topic):
        return "symbols"
    if len(topic.split()) > MAXIMUM_WORDS or len(topic) >= MAXIMUM_CHARACTERS:
        return "too_long"
    if not topic[0].isupper():
        return "no_capital"
    if topic[-1] in ".,;:!?" and not ABBREVIATION.search(topic):
        return "final_punctuation"
    return None


def parse_topics(completion: str, complete: bool) -> list[tuple[str, str | None]]:
    """Return each line of a completion as (topic, reason to drop it or None).

    The prompt ends with the number of the first line, so this line may have no number. If the
    completion was cut off (`complete` is false), its last line is dropped.
    """
    topics: list[tuple[str, str | None]] = []
    lines = completion.split("\n")
    for index, line in enumerate(lines):
        match = NUMBERED.fullmatch(line)
        if not match and not line.strip():
            continue
        topic = match["topic"].strip() if match else line.strip()
        if index > 0 and not match:
            reason: str | None = "unnumbered"
        elif index == len(lines) - 1 and not complete:
            reason = "cut_off"
        else:
            reason = topic_reason(topic)
        topics.append((topic, reason))
    return topics


def choose_examples(pool: Sequence[str], count: int, *seed: object) -> list[str]:
    """Return a sample of a pool of topics. All parts of the seed decide it."""
    rng = random.Random("/".join(map(str, seed)))
    return rng.sample(list(pool), min(count, len(pool)))


def example_pools(criterion: str) -> dict[str, list[str]]:
    """Return the example topics of each question type, which the first round shows."""
    return {kind.type: list(kind.example_topics) for kind in load_question_types(criterion)}


def topic_requests(
    task: Task, pools: Mapping[str, Sequence[str]], number: int
) -> dict[str, list[Request]]:
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


def topic_request(task: Task, question_type: str, pool: Sequence[str], key: str) -> Request:
    """Return the request with the id `key`. Its examples depend on the key and the seed."""
    examples = choose_examples(pool, task.synthesis.topics.examples_per_prompt, task.seed, key)
    return Request(key, llm_prompt(task.llm, topics_prompt(question_type, examples)))


def topics_decoding(task: Task, number: int) -> Decoding:
    """Return how the topics of round `number` are sampled. Each round has its own seed."""
    return Decoding(
        max_new_tokens=task.synthesis.topics.max_new_tokens,
        temperature=task.synthesis.topics.temperature,
        seed=task.seed + number,
    )


def read_topics(
    requests: Sequence[Request], completions: Mapping[str, Completion | Failure]
) -> list[tuple[str, str | None]]:
    """Return the lines of all completions, in the order of the requests (see `parse_topics`)."""
    return [
        line
        for request in requests
        if isinstance(result := completions[request.id], Completion)
        for line in parse_topics(result.text, result.finish == "stop")
    ]


def generate_topics(task: Task, generator: Generator, rounds: int) -> Iterator[Filtered]:
    """Yield the topics of all rounds. A round shows examples from all topics before it."""
    pools = example_pools(task.criterion)
    for number in range(rounds):
        requests = topic_requests(task, pools, number)
        completions = generator.complete_all(
            list(chain.from_iterable(requests.values())),
            topics_decoding(task, number),
            f"{task.criterion} topics, round {number + 1} of {rounds}",
        )
        for question_type, pool in pools.items():
            lines = read_topics(requests[question_type], completions)
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
