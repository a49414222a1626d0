"""What a preview shows: the prompts of a stage, the completions, and the rows made of them."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from aligners.core.completions import Completion, Failure, Prompt
from aligners.core.counts import Filtered
from aligners.core.errors import UserError
from aligners.core.rows import Row
from aligners.llms.remarks import is_refusal


@dataclass(frozen=True)
class Exchange:
    """A prompt and what came of it.

    Attributes:
        prompt, result: None for rows that no LLM wrote.
        rows: made of the completion, each with the reason to drop it or None.
        removed: what was removed or replaced in the texts, by kind.
    """

    prompt: Prompt | None
    result: Completion | Failure | None
    rows: list[Filtered]
    removed: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True)
class StagePreview:
    """The first rows of a stage.

    Attributes:
        llm: whom the stage asks; None for rows that no LLM wrote.
        usage: tokens and cost, as in a usage file; None without requests.
        note: what a reader has to know about the rows, or why there are none.
    """

    name: str
    llm: str | None
    exchanges: list[Exchange]
    usage: dict[str, Any] | None = None
    note: str = ""

    def rows(self) -> Iterator[Filtered]:
        """Yield the rows of all exchanges."""
        for exchange in self.exchanges:
            yield from exchange.rows

    def kept(self) -> list[Row]:
        """Return the rows that are not dropped."""
        return [row for row, reason in self.rows() if reason is None]

    def dropped(self) -> Counter[str]:
        """Return the number of dropped rows by reason."""
        return Counter(reason for _, reason in self.rows() if reason is not None)

    def check(self) -> None:
        """Check that a row is left, of which the next stages need one.

        Raises:
            UserError: all rows were dropped, or the completions have none.
        """
        if not self.exchanges or self.kept():
            return
        dropped = ", ".join(f"{count} {reason}" for reason, count in self.dropped().items())
        results = [exchange.result for exchange in self.exchanges]
        refusals = [
            result.text.strip()
            for result in results
            if isinstance(result, Completion) and is_refusal(result.text.strip())
        ]
        refused = f"; refusals: {len(refusals)}, such as {refusals[0][:80]!r}" if refusals else ""
        asked = f"{len(results)} completions of {self.llm}" if self.llm else "the table"
        raise UserError(
            f"{self.name}: no row is left of {asked} (dropped: {dropped or 'none'}){refused}; "
            "docs/data.md explains the reasons. Correct the recipe of the LLM (chat, "
            "max_new_tokens), the principles or the examples, or use another LLM"
        )


def without_duplicates(
    exchanges: Sequence[Exchange], find: Callable[[list[Row]], Iterable[Filtered]]
) -> list[Exchange]:
    """Return exchanges in which duplicates are dropped too.

    `find` returns each of the given rows, in order, with the reason to drop it or None.
    """
    kept = [row for exchange in exchanges for row, reason in exchange.rows if reason is None]
    found = iter(find(kept))
    return [
        replace(
            exchange,
            rows=[(row, reason) if reason else next(found) for row, reason in exchange.rows],
        )
        for exchange in exchanges
    ]
