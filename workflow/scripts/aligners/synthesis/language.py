"""Language identification with the library lingua: detects whether a text is English."""

import functools
import re

from lingua import Language, LanguageDetector, LanguageDetectorBuilder

# The languages that LLMs write most often by mistake. Each language costs time and memory. A rare
# language also costs good rows: short English texts with names are classified as Latin or Tagalog.
# A text in a missing language (Danish, Ukrainian, ...) is classified as a related language, not as
# English.
LANGUAGES = [
    Language.ENGLISH, Language.GERMAN, Language.FRENCH, Language.SPANISH, Language.PORTUGUESE,
    Language.ITALIAN, Language.DUTCH, Language.SWEDISH, Language.POLISH, Language.RUSSIAN,
    Language.TURKISH, Language.ARABIC, Language.HINDI, Language.CHINESE, Language.JAPANESE,
    Language.KOREAN, Language.VIETNAMESE, Language.INDONESIAN,
]  # fmt: skip


@functools.cache
def detector() -> LanguageDetector:
    """Return the detector. It loads its language models when it is first used."""
    return LanguageDetectorBuilder.from_languages(*LANGUAGES).build()


QUOTED = re.compile(r"[“\"„«‘][^”\"“»’]*[”\"“»’]")
LATIN = re.compile(r"[A-Za-zÀ-ɏḀ-ỿ'`-]+")
WORD = re.compile(r"[^\W\d_]+(?:['`-][^\W\d_]+)*")


# The cache helps: short responses recur, and a correction often equals its response.
@functools.lru_cache(maxsize=100_000)
def is_english(text: str, minimum_words: int, minimum_ratio: float) -> bool:
    """Return whether a text may be English.

    This is true for an ASCII text of fewer than `minimum_words` words. For any other text, the
    probability of English must be at least `minimum_ratio` times that of the most likely language,
    in the text or in its words without names: "Who was Søren Kierkegaard?" is not Danish.
    """
    if len(text.split()) < minimum_words and text.isascii():
        return True
    return any(
        not part or english_ratio(part) >= minimum_ratio for part in (text, without_names(text))
    )


def english_ratio(text: str) -> float:
    """Return the probability of English, divided by that of the most likely language."""
    confidences = detector().compute_language_confidence_values(text)
    english = next(item.value for item in confidences if item.language == Language.ENGLISH)
    return float(english / confidences[0].value) if confidences[0].value else 0.0


def without_names(text: str) -> str:
    """Return the words of a text without quoted ones and Latin ones with a capital letter.

    The first word stays if it is ASCII, because every first word has a capital letter.
    """
    words = WORD.findall(QUOTED.sub(" ", text).replace("’", "'"))
    first = [word for word in words[:1] if word.isascii()]
    return " ".join(first + [word for word in words[len(first) :] if not is_name(word)])


def is_name(word: str) -> bool:
    """Return whether a word has Latin letters, with a capital among them."""
    return word != word.lower() and bool(LATIN.fullmatch(word))
