"""Have an LLM answer one shard of a data set's questions."""

from pathlib import Path

from aligners.engines import Decoding, Request
from aligners.generation import Generator, llm_prompt
from aligners.program import run
from aligners.recipes import Recipe
from aligners.rows import read_rows, shard_rows, write_rows


def answer_prompt(recipe: Recipe, question: str) -> str:
    """Return the text that asks for an answer: for a base LLM, within its recipe's prompt."""
    template: str = recipe["answers"]["prompt"]
    return question if recipe["chat"] else template.replace("{question}", question)


def main(*, llm: str, inputs: Path, shard: int, shards: int, seed: int, output: Path) -> None:
    """Write the full answers of one shard to `output`; an empty answer is kept as it is."""
    generator = Generator(llm, output)
    answers = generator.recipe["answers"]
    rows = shard_rows(read_rows(inputs), shard, shards)
    requests = [
        Request(
            row["id"],
            llm_prompt(generator.recipe, answer_prompt(generator.recipe, row["question"])),
        )
        for row in rows
    ]
    decoding = Decoding(
        max_new_tokens=answers["max_new_tokens"],
        repetition_penalty=answers["repetition_penalty"],
        stop=tuple(answers["stop"]),
        seed=seed,
    )
    completions = generator.complete(requests, decoding, f"answers of {llm}, shard {shard}")
    write_rows(
        output,
        [
            {
                "id": row["id"],
                "question": row["question"],
                "response": completions[row["id"]].text.strip(),
            }
            for row in rows
        ],
    )


if __name__ == "__main__":
    run(main)
