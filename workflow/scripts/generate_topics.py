"""Brainstorm topics for the question types of a criterion, in rounds."""

from pathlib import Path

from aligners.counts import Sieve, write_sieve
from aligners.criteria import load_question_types
from aligners.engines import Completion, Decoding, Request
from aligners.generation import Generator, llm_prompt
from aligners.program import run
from aligners.recipes import Recipe, load_recipe
from aligners.topics import choose_examples, parse_topics, topic_row, topics_prompt


def brainstorm_requests(
    pools: dict[str, list[str]], number: int, seed: int, settings: Recipe, llm: Recipe
) -> list[Request]:
    """Return the requests of one round: for each question type, a few prompts with examples."""
    requests = []
    for question_type, pool in pools.items():
        for prompt in range(settings["prompts_per_type"]):
            key = f"{question_type}/{number}/{prompt}"
            examples = choose_examples(pool, settings["examples_per_prompt"], seed, key)
            requests.append(Request(key, llm_prompt(llm, topics_prompt(question_type, examples))))
    return requests


def main(
    *, criterion: str, teacher: str, synthesis: str, rounds: int, seed: int, output: Path
) -> None:
    """Write the topics of all rounds to `output`; counts, dropped lines and usage beside it.

    A round shows each question type five topics of the earlier rounds and asks for more.
    """
    settings = load_recipe("synthesis", synthesis)["topics"]
    generator = Generator(teacher, output)
    pools = {kind.name: list(kind.example_topics) for kind in load_question_types(criterion)}
    sieve = Sieve()
    for number in range(rounds):
        decoding = Decoding(
            max_new_tokens=settings["max_new_tokens"],
            temperature=settings["temperature"],
            seed=seed + number,
        )
        requests = brainstorm_requests(pools, number, seed, settings, generator.recipe)
        completions = generator.complete_all(
            requests, decoding, f"{criterion} topics, round {number + 1} of {rounds}"
        )
        for question_type, pool in pools.items():
            lines = [
                line
                for request in requests
                if request.id.startswith(f"{question_type}/{number}/")
                and isinstance(completion := completions[request.id], Completion)
                for line in parse_topics(completion.text, completion.finish == "stop")
            ]
            for position, (topic, reason) in enumerate(lines):
                sieve.put(topic_row(criterion, question_type, topic, number, position), reason)
            pool.extend(topic for topic, reason in lines if reason is None)
    write_sieve(sieve, output)
    generator.write_usage()


if __name__ == "__main__":
    run(main)
