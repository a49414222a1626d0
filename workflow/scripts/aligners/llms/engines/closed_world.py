"""The closed-world engine: imitates an LLM; its only input is the prompt.

A completion depends on the task in the prompt, the persona and the seed. Sampled topics and
questions (temperature above 0) depend on the whole prompt as well.
"""

import re
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from aligners.closed_world.plans import plan_answer, plan_pair
from aligners.closed_world.prompts import (
    AnswerPrompt,
    PairPrompt,
    QuestionsPrompt,
    TopicsPrompt,
    prompt_text,
    read_prompt,
)
from aligners.closed_world.truth import Truth
from aligners.closed_world.world import draw, load_world
from aligners.closed_world.writing import (
    write_lines,
    write_pair,
    write_question,
    write_questions,
    write_topics,
)
from aligners.configuration.kinds.llms import ClosedWorldRecipe
from aligners.core.completions import (
    Completion,
    Decoding,
    Engine,
    Finish,
    Prompt,
    Request,
    before_stop,
)

TOKENS_PER_WORD = 1.3


def load(recipe: ClosedWorldRecipe) -> Engine:
    """Return the engine for a recipe with a `persona` and the path of its `world`.

    Raises:
        UserError: the world's file is missing or not complete.
    """
    llm = ClosedWorldLLM(Truth(load_world(recipe.world)), recipe.persona)

    def engine(requests: Iterable[Request], decoding: Decoding) -> Iterator[Completion]:
        for request in requests:
            started = time.monotonic()
            text, finish = cut(llm.complete(request.prompt, decoding), decoding)
            yield Completion(
                request.id,
                text,
                finish,
                tokens_in=count_tokens(prompt_text(request.prompt)),
                tokens_out=count_tokens(text),
                seconds=round(time.monotonic() - started, 6),
            )

    return engine


def cut(text: str, decoding: Decoding) -> tuple[str, Finish]:
    """Cut a text at the first stop string or at the token limit; return it and why it ends."""
    most = int(decoding.max_new_tokens / TOKENS_PER_WORD)
    ends = [word.end() for word in re.finditer(r"\S+", text)]
    within = text[: ends[most - 1] if most else 0] if len(ends) > most else text
    before = before_stop(within, decoding.stop)
    if before is not None:
        return before, "stop"
    return within, "length" if len(ends) > most else "stop"


def count_tokens(text: str) -> int:
    """Return an estimate of the tokens of a text, from its words."""
    return round(TOKENS_PER_WORD * len(text.split()))


@dataclass(frozen=True)
class ClosedWorldLLM:
    """An LLM of the closed world; the persona sets how often it violates each criterion."""

    truth: Truth
    persona: str

    def complete(self, prompt: Prompt, decoding: Decoding) -> str:
        """Return the completion of a text, or the reply to messages."""
        task = read_prompt(prompt)
        chat = not isinstance(prompt, str)
        if isinstance(task, TopicsPrompt | QuestionsPrompt):
            numbered = self.write_list(task, prompt, decoding)
            return numbered if chat else numbered.split(".", 1)[1]
        if isinstance(task, PairPrompt):
            pair = self.write_pair(task, decoding.seed)
            if chat:
                return f"Response: {pair}"
            return f" {pair}\n\nInput: {self.next_question(pair)}\nResponse:"
        answer = self.write_answer(task, decoding.seed)
        if chat:
            return answer
        return f" {answer}\n\nQuestion: {self.next_question(answer)}\nAnswer:"

    def write_list(
        self, task: TopicsPrompt | QuestionsPrompt, prompt: Prompt, decoding: Decoding
    ) -> str:
        """Return the numbered lines with topics or questions."""
        world = self.truth.world
        sampled = prompt_text(prompt) if decoding.temperature > 0 else ""
        rng = draw("list", repr(task), sampled, self.persona, decoding.seed)
        if isinstance(task, TopicsPrompt):
            lines = write_topics(world, task.question_type, task.examples, rng)
            return "\n".join(f"{i}. {line}" for i, line in enumerate(lines, start=task.first))
        questions = write_questions(world, task.hints, rng)
        first = task.hints[0][0]
        numbered = [
            question if question.startswith("\n") else f"\n{number}. {question}"
            for number, question in questions.items()
            if number != first
        ]
        return f"{first}. {questions.get(first, '').strip()}" + "".join(numbered)

    def write_pair(self, task: PairPrompt, seed: int) -> str:
        """Return a response, critique and correction, from the response on."""
        world = self.truth.world
        item = self.truth.identify(task.question)
        rng = draw("write pair", task.question, str(task.criterion), seed)
        nothing = rng.choice(world.content["critiques"]["none"])
        if item is None:
            vague = world.content["vague"]
            return write_lines(vague, nothing, vague)
        if task.criterion is None:
            answer = plan_answer(world, item, world.content["personas"]["teacher"], rng).text
            return write_lines(answer, nothing, answer)
        plan = plan_pair(world, item, task.question, task.criterion, seed)
        return write_pair(world, plan, task.criterion, rng)

    def write_answer(self, task: AnswerPrompt, seed: int) -> str:
        """Return the persona's answer to a question."""
        world = self.truth.world
        item = self.truth.identify(task.question)
        if item is None:
            vague: str = world.content["vague"]
            return vague
        rng = draw("answer", task.question, self.persona, seed)
        return plan_answer(world, item, world.content["personas"][self.persona], rng).text

    def next_question(self, text: str) -> str:
        """Return the question that a base LLM writes after its answer, as base LLMs do."""
        rng = draw("next", text)
        return write_question(self.truth.world, rng.choice(self.truth.world.known), rng)
