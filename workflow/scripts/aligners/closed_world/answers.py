"""An answer of the closed world as its parts, as text, and parsed back from text."""

from collections.abc import Iterator
from dataclasses import dataclass

from aligners.closed_world.world import Item, World, normalise


@dataclass(frozen=True)
class Answer:
    """The sentences of an answer, in their order. An empty string: the sentence is not there.

    Either `value` fills the core of the item, or `evasive` takes its place.
    """

    item: Item
    insult_before: str = ""
    value: str = ""
    evasive: str = ""
    detail: str = ""
    aside: str = ""
    bad_sentence: str = ""
    insult_after: str = ""

    @property
    def core(self) -> str:
        """The sentence that answers, or avoids to."""
        return self.evasive or self.item.core_with(self.value)

    @property
    def text(self) -> str:
        """The answer as an LLM writes it."""
        sentences = (
            self.insult_before,
            self.core,
            self.detail,
            self.aside,
            self.bad_sentence,
            self.insult_after,
        )
        return " ".join(sentence for sentence in sentences if sentence)

    @property
    def clean(self) -> dict[str, bool]:
        """For each criterion, whether the answer keeps to it."""
        return {
            "ethical": not (self.insult_before or self.bad_sentence or self.insult_after),
            "factuality": bool(self.evasive) or self.value == self.item.right,
            "helpful": not self.evasive and bool(self.detail),
        }


def parse_answer(world: World, item: Item, text: str) -> Answer | None:
    """Parse a text into an answer about the item, or None if any of it does not belong.

    Spaces, and curly or straight quotes and dashes, make no difference.
    """
    content = world.content
    slots = [
        ("insult_before", ["", *content["insults"]["before"]]),
        ("core", [item.core_with(v) for v in (item.right, *item.wrong)] + content["evasive"]),
        ("detail", ["", item.detail]),
        ("aside", ["", *content["asides"]]),
        ("bad_sentence", ["", item.bad_sentence]),
        ("insult_after", ["", *content["insults"]["after"]]),
    ]
    for parts in read_slots(slots, normalise(text)):
        core = parts.pop("core")
        if core in content["evasive"]:
            return Answer(item, evasive=core, **parts)
        value = next(v for v in (item.right, *item.wrong) if item.core_with(v) == core)
        return Answer(item, value=value, **parts)
    return None


def read_slots(slots: list[tuple[str, list[str]]], text: str) -> Iterator[dict[str, str]]:
    """Yield each way to read a text as one sentence of every slot, in order."""
    if not slots:
        if not text:
            yield {}
        return
    (name, sentences), rest = slots[0], slots[1:]
    for sentence in sentences:
        plain = normalise(sentence)
        if text == plain or text.startswith(f"{plain} " if plain else ""):
            for parts in read_slots(rest, text[len(plain) :].lstrip()):
                yield {name: sentence, **parts}
