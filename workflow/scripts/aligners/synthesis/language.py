"""Language identification with the library lingua: detects whether a text is English."""

import functools

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


# The cache helps: short responses recur, and a correction often equals its response.
@functools.lru_cache(maxsize=100_000)
def is_english(text: str, minimum_words: int, minimum_ratio: float) -> bool:
    """Return whether a text may be English.

    This is true for an ASCII text of fewer than `minimum_words` words. For any other text, the
    probability of English must be at least `minimum_ratio` times that of the most likely language.
    """
    if len(text.split()) < minimum_words and text.isascii():
        return True
    confidences = detector().compute_language_confidence_values(text)
    english = next(item.value for item in confidences if item.language == Language.ENGLISH)
    return english >= minimum_ratio * confidences[0].value
