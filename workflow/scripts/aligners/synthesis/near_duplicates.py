"""Near-duplicate texts, by the Jaccard similarity of their character shingles.

The search is exact. It uses prefix filtering (Bayardo, Ma and Srikant 2007; Xiao, Wang, Lin and Yu
2008): if the shingles of all texts are in one order, rare ones first, then two similar texts share
one of their first shingles. The similarity is computed only for pairs that do.

It replaces libraries that were measured to be slower: for 20,000 questions of one frame it needs 2
seconds of CPU, MinHash LSH (datasketch 2.0.0) 148, and SetSimilaritySearch 1.0.1 79. The benchmark
`near_duplicates` measures it.
"""

import html
import re
import unicodedata
from array import array
from collections.abc import Iterable, Sequence

import numpy as np

from aligners.core.progress import track

# What the same text has in different files: curly or straight quotes, long or short dashes, and
# characters without width.
SAME_CHARACTERS = str.maketrans(
    {
        **dict.fromkeys("‘’‚‛′´`", "'"),
        **dict.fromkeys("“”„‟″«»", '"'),
        **dict.fromkeys("‐‑‒–—―−", "-"),
        "…": "...",
        **dict.fromkeys("\u00ad\u200b\u200c\u200d\u200e\u200f\u2060\ufeff", None),
    }
)
# Punctuation beside which words are the same. Within a number, and in formulas, it has a meaning.
PUNCTUATION = re.compile(r"""(?<!\d)[.,:;]|[.,:;](?!\d)|["!?*_`()\[\]{}]|(?<!\w)['-]|['-](?!\w)""")
HYPHEN = re.compile(r"(?<=[^\W\d])-(?=[^\W\d])")
# Number of texts that are compared at once with another text, at most.
BLOCK = 1000
# Keeps a product such as 0.55 * 100, which is a little more than 55, from being rounded up to 56.
ROUNDING = 1e-9


def normalise(text: str) -> str:
    """Return the text in lower case and Unicode NFC with single spaces and plain punctuation.

    HTML entities become characters. Texts that are equal in this form are exact duplicates.
    """
    plain = unicodedata.normalize("NFC", html.unescape(text)).translate(SAME_CHARACTERS)
    return " ".join(plain.lower().split())


def wording(text: str) -> str:
    """Return the normalised text without punctuation around its words.

    Texts that are equal in this form are copies of one another. A text of punctuation alone stays.
    """
    plain = normalise(text)
    return " ".join(HYPHEN.sub(" ", PUNCTUATION.sub(" ", plain)).split()) or plain


def wordings(texts: Iterable[str]) -> set[str]:
    """Return the wordings of texts, to find copies of them."""
    return set(map(wording, texts))


def shingles(text: str, size: int) -> set[str]:
    """Return the set of the character n-grams of the normalised text, with n = `size`."""
    text = normalise(text)
    return {text[start : start + size] for start in range(max(1, len(text) - size + 1))}


def duplicate_reasons(
    texts: Sequence[str], shingle: int, similarity: float, description: str
) -> list[str | None]:
    """Return `duplicate`, `near_duplicate` or None for each text.

    A text is a duplicate if an earlier text is equal to it. It is a near-duplicate if it is similar
    to an earlier text whose reason is None. `description` names the progress in the log.
    """
    index = NearDuplicates(ShingledTexts(texts, shingle, similarity))
    seen: set[str] = set()
    reasons: list[str | None] = []
    for number, text in enumerate(track(texts, len(texts), description)):
        if normalise(text) in seen:
            reasons.append("duplicate")
        elif index.first(number) is not None:
            reasons.append("near_duplicate")
        else:
            reasons.append(None)
            index.add(number)
        seen.add(normalise(text))
    return reasons


class ShingledTexts:
    """The shingles of texts, as numbers. A shingle of few texts has a lower number.

    Attributes:
        similarity: minimum Jaccard similarity of near-duplicates, in (0, 1].
        shingles: the numbers of the shingles of all texts, one text after another. Those of a text
            are in ascending order.
        starts: where each text starts in `shingles`.
        sizes: number of shingles of each text.
        distinct: number of different shingles.
    """

    def __init__(self, texts: Sequence[str], shingle: int, similarity: float):
        self.similarity = similarity
        numbers: dict[str, int] = {}
        flat, ends = array("i"), array("q", [0])
        for text in texts:
            flat.extend(
                [numbers.setdefault(piece, len(numbers)) for piece in shingles(text, shingle)]
            )
            ends.append(len(flat))
        found = np.array(flat, dtype=np.int32)
        self.distinct = len(numbers)
        ranks = np.empty(self.distinct, dtype=np.int32)
        counts = np.bincount(found, minlength=self.distinct)
        ranks[np.argsort(counts, kind="stable")] = np.arange(self.distinct, dtype=np.int32)
        self.shingles = ranks[found]
        self.starts, self.sizes = np.array(ends[:-1]), np.diff(ends)
        for number in range(len(texts)):
            self.first_shingles(number, self.sizes).sort()

    def first_shingles(self, number: int, lengths: np.ndarray) -> np.ndarray:
        """Return the first shingles of a text: as many as `lengths` has for this text."""
        start = self.starts[number]
        return self.shingles[start : start + lengths[number]]

    def prefix_lengths(self, shared: float) -> np.ndarray:
        """Return for each text how many of its shingles to compare with the first ones of others.

        If two texts have at least the share `shared` of the shingles of each in common, they have
        one of these in common.
        """
        least = np.ceil(shared * self.sizes - ROUNDING).astype(np.int64)
        return self.sizes - least + 1


class Postings:
    """For each shingle, the numbers of the texts that have it among their first shingles."""

    def __init__(self, texts: ShingledTexts, lengths: np.ndarray):
        self.texts, self.lengths = texts, lengths
        space = np.zeros(texts.distinct, dtype=np.int64)
        for number in range(len(lengths)):
            space[texts.first_shingles(number, lengths)] += 1
        self.starts = np.cumsum(space) - space
        self.ends = self.starts.copy()
        self.numbers = np.empty(space.sum(), dtype=np.int32)

    def add(self, number: int) -> None:
        """Add a text."""
        shingles = self.texts.first_shingles(number, self.lengths)
        self.numbers[self.ends[shingles]] = number
        self.ends[shingles] += 1

    def find(self, shingles: np.ndarray) -> list[np.ndarray]:
        """Return the numbers of the texts that were added, for each of the shingles."""
        bounds = zip(self.starts[shingles].tolist(), self.ends[shingles].tolist(), strict=True)
        return [self.numbers[start:end] for start, end in bounds]


class NearDuplicates:
    """An index of some of the texts that finds the first near-duplicate of any of the texts."""

    def __init__(self, texts: ShingledTexts):
        """Create an empty index."""
        self.texts = texts
        # Texts with Jaccard similarity s share at least s of the shingles of the larger one, and
        # 2s / (1 + s) of those of the smaller one. So a long prefix of the larger one meets a short
        # prefix of the smaller one. Two long prefixes would meet in the words of a common frame.
        similarity = texts.similarity
        self.long = Postings(texts, texts.prefix_lengths(similarity))
        self.short = Postings(texts, texts.prefix_lengths(2 * similarity / (1 + similarity)))
        self.is_in_text = np.zeros(texts.distinct, dtype=bool)

    def add(self, number: int) -> None:
        """Add a text by its number. Texts must be added in ascending order."""
        self.long.add(number)
        self.short.add(number)

    def first(self, number: int) -> int | None:
        """Return the lowest number of an added text that is similar to the text, or None."""
        long = self.texts.first_shingles(number, self.long.lengths)
        short = self.texts.first_shingles(number, self.short.lengths)
        candidates = np.unique(np.concatenate(self.short.find(long) + self.long.find(short)))
        for start in range(0, len(candidates), BLOCK):
            block = candidates[start : start + BLOCK]
            similar = block[self.similarities(number, block) >= self.texts.similarity]
            if len(similar):
                return int(similar[0])
        return None

    def similarities(self, number: int, others: np.ndarray) -> np.ndarray:
        """Return the Jaccard similarity of a text and each of the others."""
        texts = self.texts
        mine = texts.first_shingles(number, texts.sizes)
        sizes = texts.sizes[others]
        starts = np.cumsum(sizes) - sizes
        # The places of the shingles of all others in `texts.shingles`.
        places = np.repeat(texts.starts[others] - starts, sizes) + np.arange(sizes.sum())
        self.is_in_text[mine] = True
        shared = np.add.reduceat(self.is_in_text[texts.shingles[places]], starts, dtype=np.int64)
        self.is_in_text[mine] = False
        return shared / (sizes + len(mine) - shared)
