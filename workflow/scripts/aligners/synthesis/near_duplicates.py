"""Near-duplicate texts, by the Jaccard similarity of their character shingles.

datasketch's MinHash LSH finds candidates (Broder 1997; Leskovec, Rajaraman and Ullman, Mining of
Massive Datasets, chapter 3). Then the exact similarity of every candidate is compared with the
threshold, so there are no false positives.
"""

import unicodedata

from datasketch import MinHash, MinHashLSH

PERMUTATIONS = 128


def normalise(text: str) -> str:
    """Return the text in lower case and Unicode NFC with single spaces.

    Texts that are equal in this form are exact duplicates.
    """
    return " ".join(unicodedata.normalize("NFC", text).lower().split())


def shingles(text: str, size: int) -> set[str]:
    """Return the set of the character n-grams of the normalised text, with n = `size`."""
    text = normalise(text)
    return {text[start : start + size] for start in range(max(1, len(text) - size + 1))}


def jaccard(first: set[str], second: set[str]) -> float:
    """Return the size of the intersection over the size of the union, in [0, 1]."""
    return len(first & second) / len(first | second)


class NearDuplicates:
    """An index of texts that finds near-duplicates.

    Attributes:
        size: number of characters of a shingle.
        similarity: minimum Jaccard similarity of near-duplicates, in (0, 1].
        ordinals: position of each indexed text in the order of insertion.
        seen: normalised texts that were passed to `reason`.
    """

    def __init__(self, shingle: int, similarity: float):
        """Create an empty index."""
        self.size = shingle
        self.similarity = similarity
        # The weights favour recall: the index misses 1 in 100 pairs at the threshold and 1 in 1000
        # at 0.05 above it. The exact similarity removes the extra false candidates.
        self.index = MinHashLSH(threshold=similarity, num_perm=PERMUTATIONS, weights=(0.01, 0.99))
        self.empty_sketch = MinHash(num_perm=PERMUTATIONS)
        self.shingles: dict[str, set[str]] = {}
        self.ordinals: dict[str, int] = {}
        self.added = 0
        self.seen: set[str] = set()

    def remove(self, key: str) -> None:
        """Remove a text from the index."""
        self.index.remove(key)
        del self.shingles[key], self.ordinals[key]

    def find_and_add(self, key: str, text: str, keep_if_found: bool = False) -> list[str]:
        """Return the keys of the near-duplicates of a text, oldest first, and index the text.

        If the text has near-duplicates, it is indexed only with `keep_if_found`.
        """
        pieces = shingles(text, self.size)
        sketch = self.empty_sketch.copy()
        sketch.update_batch([piece.encode() for piece in pieces])
        found = [
            other
            for other in self.index.query(sketch)
            if jaccard(pieces, self.shingles[other]) >= self.similarity
        ]
        if keep_if_found or not found:
            self.index.insert(key, sketch)
            self.shingles[key] = pieces
            self.added += 1
            self.ordinals[key] = self.added
        return sorted(found, key=self.ordinals.__getitem__)

    def reason(self, key: str, text: str) -> str | None:
        """Return `duplicate` or `near_duplicate` if an earlier text is like this one, else None."""
        is_duplicate = normalise(text) in self.seen
        self.seen.add(normalise(text))
        if is_duplicate:
            return "duplicate"
        return "near_duplicate" if self.find_and_add(key, text) else None
