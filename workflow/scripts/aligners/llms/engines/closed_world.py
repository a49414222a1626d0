"""The closed-world engine: imitates an LLM. Its only input is the prompt.

A completion depends on the task in the prompt, the persona and the seed. With a temperature above
0, topics and questions also depend on the whole text of the prompt.
"""

import re
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from aligners.closed_world.plans import plan_answer
from aligners.closed_world.prompts import (
    AnswerPrompt,
    PairPrompt,
    QuestionsPrompt,
    TopicsPrompt,
    prompt_text,
    read_prompt,
)
from aligners.closed_world.truth import Truth
from aligners.closed_world.world import load_world, make_rng
from aligners.closed_world.writing import (
    write_correction,
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
    """Return the engine for a recipe with a `persona` and the path of a `world`.

    Raises:
        UserError: the world's file is missing or incomplete.
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
    """Cut a text at the first stop string or at the token limit; return it and its finish."""
    limit = int(decoding.max_new_tokens / TOKENS_PER_WORD)
    word_ends = [word.end() for word in re.finditer(r"\S+", text)]
    too_long = len(word_ends) > limit
    if too_long:
        text = text[: word_ends[limit - 1] if limit else 0]
    before = before_stop(text, decoding.stop)
    if before is not None:
        return before, "stop"
    return text, "length" if too_long else "stop"


def count_tokens(text: str) -> int:
    """Return the number of tokens of a text, estimated from its number of words."""
    return round(TOKENS_PER_WORD * len(text.split()))


@dataclass(frozen=True)
class ClosedWorldLLM:
    """An LLM of the closed world. Its persona sets how often it violates each criterion."""

    truth: Truth
    persona: str

    def complete(self, prompt: Prompt, decoding: Decoding) -> str:
        """Return the completion of a text prompt, or the reply to messages."""
        task = read_prompt(prompt)
        chat = not isinstance(prompt, str)
        if isinstance(task, TopicsPrompt | QuestionsPrompt):
            numbered = self.write_list(task, prompt, decoding)
            return numbered if chat else numbered.split(".", 1)[1]
        if isinstance(task, PairPrompt):
            pair = self.write_pair(task, decoding.seed, chat)
            if chat:
                return pair
            return f" {pair}\n\nInput: {self.next_question(pair)}\nResponse:"
        answer = self.write_answer(task, decoding.seed)
        if chat:
            return answer
        return f" {answer}\n\nQuestion: {self.next_question(answer)}\nAnswer:"

    def write_list(
        self, task: TopicsPrompt | QuestionsPrompt, prompt: Prompt, decoding: Decoding
    ) -> str:
        """Return a numbered list of topics or of questions."""
        world = self.truth.world
        deciding_text = prompt_text(prompt) if decoding.temperature > 0 else ""
        rng = make_rng("list", repr(task), deciding_text, self.persona, decoding.seed)
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

    def write_pair(self, task: PairPrompt, seed: int, chat: bool) -> str:
        """Return a response, critique and correction; only a chat LLM writes the first label.

        If the response is given, return the critique and the correction.
        """
        world, criterion, response = self.truth.world, task.criterion, task.response
        rng = make_rng("write pair", task.question, str(criterion), seed)
        if criterion is not None and (
            plan := self.truth.planned_pair(task.question, criterion, seed, response)
        ):
            write = write_pair if response is None else write_correction
            return write(world, plan, criterion, rng, chat)
        if response is None:
            item = self.truth.identify(task.question)
            answer = (
                plan_answer(world, item, "teacher", rng).text if item else world.content["vague"]
            )
            critique = rng.choice(world.content["critiques"]["none"])
            first, text = "Response: ", write_lines(answer, critique, answer)
        else:
            critique = rng.choice(world.content["critiques"]["none"])
            first, text = "Critique: ", f"{critique}\nCorrection: {response}"
        return f"{first}{text}" if chat else text

    def write_answer(self, task: AnswerPrompt, seed: int) -> str:
        """Return the persona's response to a question."""
        world = self.truth.world
        item = self.truth.identify(task.question)
        if item is None:
            vague: str = world.content["vague"]
            return vague
        rng = make_rng("answer", task.question, self.persona, seed)
        return plan_answer(world, item, self.persona, rng).text

    def next_question(self, text: str) -> str:
        """Return a next question: a base LLM continues its text after the answer."""
        rng = make_rng("next", text)
        return write_question(self.truth.world, rng.choice(self.truth.world.known), rng)
