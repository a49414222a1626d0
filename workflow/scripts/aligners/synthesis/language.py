"""Is a text English? By the language-identification library lingua."""

import functools

from lingua import Language, LanguageDetector, LanguageDetectorBuilder

# The languages that language models slip into most. Each costs time and memory, a rare one also
# good rows: short English texts with names come out as Latin or Tagalog. A language that is left
# out (Danish, Ukrainian, ...) looks like a relative of it, so it is not English all the same.
LANGUAGES = [
    Language.ENGLISH, Language.GERMAN, Language.FRENCH, Language.SPANISH, Language.PORTUGUESE,
    Language.ITALIAN, Language.DUTCH, Language.SWEDISH, Language.POLISH, Language.RUSSIAN,
    Language.TURKISH, Language.ARABIC, Language.HINDI, Language.CHINESE, Language.JAPANESE,
    Language.KOREAN, Language.VIETNAMESE, Language.INDONESIAN,
]  # fmt: skip


@functools.cache
def detector() -> LanguageDetector:
    """Return the detector; it loads its language models when first used."""
    return LanguageDetectorBuilder.from_languages(*LANGUAGES).build()


# Short answers recur; an answer and its correction are often the same text.
@functools.lru_cache(maxsize=100_000)
def is_english(text: str, minimum_words: int, minimum_ratio: float) -> bool:
    """Tell whether a text may be English.

    A text of fewer than `minimum_words` words is given the benefit of the doubt, and so is one for
    which English is at least `minimum_ratio` times as likely as the likeliest language.
    """
    if len(text.split()) < minimum_words and text.isascii():
        return True
    confidences = detector().compute_language_confidence_values(text)
    english = next(item.value for item in confidences if item.language == Language.ENGLISH)
    return english >= minimum_ratio * confidences[0].value
