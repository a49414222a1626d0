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


# Fewer words show less about the language, so they must be more likely English. Of 191 short texts
# in 23 languages, 11 are misread with these values, and 22 with the ratio of the whole text.
RATIO_WITHOUT_NAMES = 0.7
RATIO_OF_PLAIN_WORDS = 0.9
QUOTED = re.compile(r"[“\"„«‘][^”\"“»’]*[”\"“»’]")
LATIN = re.compile(r"[A-Za-zÀ-ɏḀ-ỿ'`-]+")
WORD = re.compile(r"[^\W\d_]+(?:['`-][^\W\d_]+)*")


# The cache helps: short responses recur, and a correction often equals its response.
@functools.lru_cache(maxsize=100_000)
def is_english(text: str, minimum_words: int, minimum_ratio: float) -> bool:
    """Return whether a text may be English.

    This is true for an ASCII text of fewer than `minimum_words` words. For any other text, the
    probability of English must be at least `minimum_ratio` times that of the most likely language,
    or be high in the words that are no names ("Who was Søren Kierkegaard?" is not Danish), or in
    those of them that have only plain letters ("My protégé is always late.").
    """
    if len(text.split()) < minimum_words and text.isascii():
        return True
    words = without_names(text)
    plain = [word for word in words if word.isascii() or not LATIN.fullmatch(word)]
    return (
        not words
        or english_ratio(text) >= minimum_ratio
        or english_ratio(" ".join(words)) >= RATIO_WITHOUT_NAMES
        or english_ratio(" ".join(plain)) >= RATIO_OF_PLAIN_WORDS
    )


def english_ratio(text: str) -> float:
    """Return the probability of English, divided by that of the most likely language."""
    confidences = detector().compute_language_confidence_values(text)
    english = next(item.value for item in confidences if item.language == Language.ENGLISH)
    return float(english / confidences[0].value) if confidences[0].value else 0.0


def without_names(text: str) -> list[str]:
    """Return the words of a text without quoted ones and Latin ones with a capital letter.

    The first word stays if it is ASCII, because every first word has a capital letter.
    """
    words = WORD.findall(QUOTED.sub(" ", text).replace("’", "'"))
    first = [word for word in words[:1] if word.isascii()]
    return first + [word for word in words[len(first) :] if not is_name(word)]


def is_name(word: str) -> bool:
    """Return whether a word has Latin letters, with a capital among them."""
    return word != word.lower() and bool(LATIN.fullmatch(word))
