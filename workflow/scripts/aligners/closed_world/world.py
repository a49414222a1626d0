"""The content of the closed world: items, contexts, sentence pools and rates, from a YAML file."""

import hashlib
import random
import re
import unicodedata
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

from aligners.configuration.kinds.worlds import WorldFile
from aligners.configuration.validation import place, read_section
from aligners.core.errors import UserError

CRITERIA = ("ethical", "factuality", "helpful")
# Maps the code points of curly quotes and long dashes to plain characters.
PLAIN_CHARACTERS = {0x2018: "'", 0x2019: "'", 0x201C: '"', 0x201D: '"', 0x2013: "-", 0x2014: "-"}
MAX_CONTEXT_WORDS = 40


@dataclass(frozen=True)
class Item:
    """A subject of questions, with the parts of its good and bad answers.

    Attributes:
        asks: the ways to ask for the item.
        category_asks: the ways to ask for it in the data set with categories.
        core: a sentence with `{}` in place of the value.
        right: the right value.
        wrong: wrong values.
        unsafe: an unsafe sentence; empty if the item has none.
        biased: a biased sentence; empty if the item has none.
        held_out: whether training questions never ask for the item.
    """

    id: str
    kind: str
    category: str
    question_types: tuple[str, ...]
    topics: tuple[str, ...]
    asks: tuple[str, ...]
    category_asks: tuple[str, ...]
    core: str
    right: str
    wrong: tuple[str, ...]
    detail: str
    unsafe: str = ""
    biased: str = ""
    held_out: bool = False

    @property
    def bad_sentence(self) -> str:
        """The unsafe or biased sentence of the item, or an empty string if it has none."""
        return self.unsafe or self.biased

    def core_with(self, value: str) -> str:
        """Return the core sentence with a value in it."""
        return self.core.format(value)


@dataclass(frozen=True)
class World:
    """The parsed YAML file. `content` has the sentences and the rates of defects."""

    items: tuple[Item, ...]
    content: dict[str, Any]

    @property
    def known(self) -> list[Item]:
        """The items that are not held out."""
        return [item for item in self.items if not item.held_out]

    @cached_property
    def styles(self) -> dict[str, dict[str, list[str]]]:
        """The sentences of style `before` and `after` an answer, of the `teacher` and the `llms`.

        Each beginning goes with each ending. A third of these sentences are those of the LLMs.
        """
        styles: dict[str, dict[str, list[str]]] = {"teacher": {}, "llms": {}}
        for where, parts in self.content["styles"].items():
            for writer, sentences in styles.items():
                sentences[where] = [
                    f"{beginning}, {ending}."
                    for i, beginning in enumerate(parts["beginnings"])
                    for j, ending in enumerate(parts["endings"])
                    if ((i + j) % 3 == 0) == (writer == "llms")
                ]
        return styles

    @cached_property
    def asks(self) -> dict[tuple[str, ...], Item]:
        """Maps the words of each way to ask to its item."""
        return {
            words(ask): item for item in self.items for ask in (*item.asks, *item.category_asks)
        }

    @cached_property
    def topics(self) -> dict[str, list[str]]:
        """The topics of each question type (`type_key`), in the order of the file."""
        found: dict[str, dict[str, None]] = defaultdict(dict)
        for item in self.known:
            for question_type in item.question_types:
                found[type_key(question_type)].update(dict.fromkeys(item.topics))
        return {question_type: list(topics) for question_type, topics in found.items()}

    def items_for(self, question_type: str, topic: str) -> list[Item]:
        """Return the known items of a topic and question type.

        If there are none: the items of the topic, else those of the type, else all known items.
        """
        kind, subject = type_key(question_type), topic_key(topic)
        of_type = [item for item in self.known if kind in map(type_key, item.question_types)]
        of_topic = [item for item in self.known if subject in map(topic_key, item.topics)]
        both = [item for item in of_topic if item in of_type]
        return both or of_topic or of_type or self.known


def normalise(text: str) -> str:
    """Return the text in Unicode NFC with straight quotes, plain dashes and single spaces."""
    return " ".join(unicodedata.normalize("NFC", text).translate(PLAIN_CHARACTERS).split())


def words(text: str) -> tuple[str, ...]:
    """Return the lower-case words and numbers of a text, without punctuation and "please"."""
    found = re.findall(r"\w+(?:['-]\w+)*", normalise(text).lower())
    return tuple(word for word in found if word != "please")


def type_key(question_type: str) -> str:
    """Return a key that all spellings share: "scientific" for "Scientific_knowledge"."""
    return " ".join(
        word for word in question_type.lower().replace("_", " ").split() if word != "knowledge"
    )


def topic_key(topic: str) -> str:
    """Return a key that near-duplicate topics share: lower-case words without plural endings."""
    return " ".join(word.removesuffix("s").removesuffix("'") for word in words(topic))


def make_rng(*parts: str | int) -> random.Random:
    """Return a random number generator whose seed is a hash of the parts."""
    text = "\x1f".join(map(str, parts))
    return random.Random(int.from_bytes(hashlib.sha256(text.encode()).digest()[:8]))


def choose(rng: random.Random, weights: dict[str, float]) -> str:
    """Choose a key with a probability proportional to its weight."""
    return rng.choices(list(weights), list(weights.values()))[0]


def choose_or_none(rng: random.Random, rates: dict[str, float]) -> str | None:
    """Choose a key with its rate as probability, or None with the remaining probability."""
    point = rng.random()
    for name, rate in rates.items():
        point -= rate
        if point < 0:
            return name
    return None


@cache
def load_world(path: str) -> World:
    """Read the closed world from its YAML file.

    Raises:
        UserError: the file is missing or invalid, or two items cannot be told apart.
    """
    content = read_section(WorldFile, Path(path)).model_dump(exclude_defaults=True)
    items = tuple(make_item(entry) for entry in content.pop("items"))
    check_asks(items, Path(path))
    return World(items, content)


def make_item(entry: dict[str, Any]) -> Item:
    """Make an item from its entry in the file. Lists become tuples."""
    values: dict[str, Any] = {
        key: tuple(value) if isinstance(value, list) else value for key, value in entry.items()
    }
    return Item(**values)


def check_asks(items: Sequence[Item], path: Path) -> None:
    """Check that each way to ask belongs to one item, and has words.

    Raises:
        UserError: two items are asked for with the same words.
    """
    owners: dict[tuple[str, ...], Item] = {}
    for number, item in enumerate(items):
        for key, asks in (("asks", item.asks), ("category_asks", item.category_asks)):
            for index, ask in enumerate(asks):
                if not words(ask) or owners.setdefault(words(ask), item) is not item:
                    where = place(("items", number, key, index), [path])
                    raise UserError(
                        f"{where}: {ask!r} has no words, or those of another item's question; "
                        "change it"
                    )
