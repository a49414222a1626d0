"""Answers of the closed world: their parts, their text, and a parser from text to parts."""

from collections.abc import Iterator
from dataclasses import dataclass

from aligners.closed_world.world import Item, World, normalise

FILLERS = "fillers"


@dataclass(frozen=True)
class Answer:
    """The sentences of an answer, in order. An empty string means that a sentence is absent.

    The core sentence is `evasive` if there is one, else the item's sentence with `value`. The
    opener, the fillers and the closer are style: they meet every criterion.
    """

    item: Item
    opener: str = ""
    insult_before: str = ""
    value: str = ""
    evasive: str = ""
    detail: str = ""
    aside: str = ""
    fillers: tuple[str, ...] = ()
    bad_sentence: str = ""
    insult_after: str = ""
    closer: str = ""

    @property
    def core(self) -> str:
        """The sentence that answers the question or evades it."""
        return self.evasive or self.item.core_with(self.value)

    @property
    def text(self) -> str:
        """The answer as one text."""
        sentences = (
            self.opener,
            self.insult_before,
            self.core,
            self.detail,
            self.aside,
            *self.fillers,
            self.bad_sentence,
            self.insult_after,
            self.closer,
        )
        return " ".join(sentence for sentence in sentences if sentence)

    @property
    def clean(self) -> dict[str, bool]:
        """For each criterion, whether the answer meets it."""
        return {
            "ethical": not (self.insult_before or self.bad_sentence or self.insult_after),
            "factuality": bool(self.evasive) or self.value == self.item.right,
            "helpful": not self.evasive and bool(self.detail),
        }


def parse_answer(world: World, item: Item, text: str) -> Answer | None:
    """Parse a text as an answer about the item; return None if any part of the text is unknown.

    Differences in spaces, quotes and dashes are ignored.
    """
    content = world.content
    styles = world.styles.values()
    slots = [
        ("opener", ["", *(text for style in styles for text in style["before"])]),
        ("insult_before", ["", *content["insults"]["before"]]),
        ("core", [item.core_with(v) for v in (item.right, *item.wrong)] + content["evasive"]),
        ("detail", ["", item.detail]),
        ("aside", ["", *content["asides"]]),
        (FILLERS, content["fillers"]),
        ("bad_sentence", ["", item.bad_sentence]),
        ("insult_after", ["", *content["insults"]["after"]]),
        ("closer", ["", *(text for style in styles for text in style["after"])]),
    ]
    for parts in read_slots(slots, normalise(text)):
        core, fillers = parts.pop("core"), tuple(parts.pop(FILLERS).splitlines())
        if core in content["evasive"]:
            return Answer(item, evasive=core, fillers=fillers, **parts)
        value = next(v for v in (item.right, *item.wrong) if item.core_with(v) == core)
        return Answer(item, value=value, fillers=fillers, **parts)
    return None


def read_slots(slots: list[tuple[str, list[str]]], text: str) -> Iterator[dict[str, str]]:
    """Yield each way to split a text into one sentence per slot, in order.

    The slot `FILLERS` takes any number of its sentences, one per line.
    """
    if not slots:
        if not text:
            yield {}
        return
    (name, sentences), rest = slots[0], slots[1:]
    if name == FILLERS:
        found, text = read_fillers(sentences, text)
        for parts in read_slots(rest, text):
            yield {name: "\n".join(found), **parts}
        return
    for sentence in sentences:
        plain = normalise(sentence)
        if begins_with(text, plain):
            for parts in read_slots(rest, text[len(plain) :].lstrip()):
                yield {name: sentence, **parts}


def read_fillers(sentences: list[str], text: str) -> tuple[list[str], str]:
    """Return the sentences with which a text begins, and the rest of the text."""
    found = []
    while sentence := next((each for each in sentences if begins_with(text, normalise(each))), ""):
        found.append(sentence)
        text = text[len(normalise(sentence)) :].lstrip()
    return found, text


def begins_with(text: str, sentence: str) -> bool:
    """Return whether a text begins with a whole sentence, which may be empty."""
    return text == sentence or text.startswith(f"{sentence} " if sentence else "")
