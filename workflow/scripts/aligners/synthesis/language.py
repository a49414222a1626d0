"""Language identification with the library lingua: whether a text is English."""

import functools

from lingua import Language, LanguageDetector, LanguageDetectorBuilder

# The languages that LLMs write most often by mistake. Each one costs time and memory. A rare one
# also costs good rows: short English texts with names are taken for Latin or Tagalog. Texts in a
# language that is not here (Danish, Ukrainian, ...) are taken for a related one, not for English.
LANGUAGES = [
    Language.ENGLISH, Language.GERMAN, Language.FRENCH, Language.SPANISH, Language.PORTUGUESE,
    Language.ITALIAN, Language.DUTCH, Language.SWEDISH, Language.POLISH, Language.RUSSIAN,
    Language.TURKISH, Language.ARABIC, Language.HINDI, Language.CHINESE, Language.JAPANESE,
    Language.KOREAN, Language.VIETNAMESE, Language.INDONESIAN,
]  # fmt: skip


@functools.cache
def detector() -> LanguageDetector:
    """Return the detector, which loads its language models when it is first used."""
    return LanguageDetectorBuilder.from_languages(*LANGUAGES).build()


# Short responses recur, and a response and its correction are often the same text.
@functools.lru_cache(maxsize=100_000)
def is_english(text: str, minimum_words: int, minimum_ratio: float) -> bool:
    """Tell whether a text may be English.

    This is true for an ASCII text of fewer than `minimum_words` words, and for a text whose
    probability of English is at least `minimum_ratio` times that of the likeliest language.
    """
    if len(text.split()) < minimum_words and text.isascii():
        return True
    confidences = detector().compute_language_confidence_values(text)
    english = next(item.value for item in confidences if item.language == Language.ENGLISH)
    return english >= minimum_ratio * confidences[0].value
