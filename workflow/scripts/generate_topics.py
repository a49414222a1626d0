"""Brainstorm topics for the question types of a criterion, in rounds."""

from pathlib import Path

from aligners.configuration.criteria import load_question_types
from aligners.configuration.recipes import load_recipe
from aligners.core.completions import Completion, Request
from aligners.core.counts import Sieve, write_sieve
from aligners.core.program import run
from aligners.llms.generator import Generator, llm_prompt
from aligners.synthesis.topics import brainstorm_prompts, parse_topics, topic_row, topics_decoding


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
        prompts = brainstorm_prompts(pools, number, seed, settings)
        requests = [
            Request(key, llm_prompt(generator.recipe, prompt)) for key, prompt in prompts.items()
        ]
        completions = generator.complete_all(
            requests,
            topics_decoding(settings, seed + number),
            f"{criterion} topics, round {number + 1} of {rounds}",
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
