"""Time and memory of the search for near-duplicates: in free text, and in questions of one frame.

In free text, few pairs share a rare shingle, so the time rises with the number of texts. Questions
of one frame share most shingles and many words, so the number of pairs to compare rises with the
square.
"""

import multiprocessing
import random
import resource
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from itertools import product

from figures import Figure, Figures, at_most
from texts import load_texts

from aligners.configuration.kinds.synthesis import SynthesisRecipe
from aligners.configuration.recipes import load_recipe
from aligners.core.counts import separate
from aligners.core.rows import row_id
from aligners.synthesis.near_duplicates import duplicate_reasons
from aligners.synthesis.split import split_questions

SYNTHESIS = "paper"
FRAME = "What should I know about the {} and the {} when I move to a new town with my family?"
WORDS_OF_FRAME, WORDS_OF_TEXT = 330, 20_000
SHARES = {"train": 0.8, "validation": 0.1, "test": 0.1}
SECONDS, MEGABYTES = at_most(300), at_most(2000)

Task = Callable[[Sequence[str]], int]


def measure(rows: int = 100_000) -> Figures:
    """Search real questions, `rows` texts of random words and `rows` questions of one frame.

    The questions of one frame are also split.
    """
    source, real = load_texts()
    frame = frame_texts(rows)
    tasks: dict[str, tuple[Task, Sequence[str]]] = {
        "a quarter": (drop, real[: len(real) // 4]),
        "all": (drop, real),
        "random words": (drop, random_texts(rows)),
        "one frame": (drop, frame),
        "split of one frame": (split, frame),
    }
    figures = {"questions": Figure(f"{len(real)} {source}"), "texts": Figure(rows)}
    times = {}
    for name, (task, texts) in tasks.items():
        kept, times[name], memory = in_process(task, texts)
        figures[f"{name}: kept"] = Figure(kept)
        figures[f"{name}: CPU seconds"] = Figure(times[name], SECONDS)
        figures[f"{name}: memory in MB"] = Figure(memory, MEGABYTES)
    growth = times["all"] / times["a quarter"]
    figures["time of all questions, to that of a quarter"] = Figure(growth, at_most(8))
    return figures


def frame_texts(count: int) -> list[str]:
    """Return distinct questions of one frame with two fillers, shuffled."""
    words = make_words(WORDS_OF_FRAME)
    pairs = random.Random(0).sample(list(product(words, words)), count)
    return [FRAME.format(first, second) for first, second in pairs]


def random_texts(count: int) -> list[str]:
    """Return texts of random words. As in a language, few words are frequent."""
    words, chooser = make_words(WORDS_OF_TEXT), random.Random(1)
    weights = [1 / rank for rank in range(1, len(words) + 1)]
    return [
        " ".join(chooser.choices(words, weights, k=chooser.randint(8, 20))) for _ in range(count)
    ]


def make_words(count: int) -> list[str]:
    """Return distinct words of two to five syllables."""
    chooser = random.Random(2)
    syllables = ["".join(letters) for letters in product("bdfgklmnprstvz", "aeiou")]
    words: dict[str, None] = {}
    while len(words) < count:
        words["".join(chooser.choices(syllables, k=chooser.randint(2, 5)))] = None
    return list(words)


def drop(texts: Sequence[str]) -> int:
    """Return how many texts are kept."""
    near = load_recipe(SynthesisRecipe, SYNTHESIS).questions.near_duplicates
    return duplicate_reasons(texts, near.shingle, near.similarity, "texts").count(None)


def split(texts: Sequence[str]) -> int:
    """Return how many texts have a side after the split."""
    near = load_recipe(SynthesisRecipe, SYNTHESIS).split.near_duplicates
    rows = [{"id": row_id(text), "question": text} for text in texts]
    kept, _ = separate(split_questions([], rows, SHARES, near.shingle, near.similarity))
    return len(kept)


def in_process(task: Task, texts: Sequence[str]) -> tuple[int, float, float]:
    """Run a task in a process of its own, and return its result, CPU seconds and memory in MB."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        return pool.submit(measured, task, texts).result()


def measured(task: Task, texts: Sequence[str]) -> tuple[int, float, float]:
    """Run a task. Return its result, its CPU seconds and by how many MB the peak memory rose."""
    memory, started = peak_memory(), time.process_time()
    result = task(texts)
    return result, time.process_time() - started, peak_memory() - memory


def peak_memory() -> float:
    """Return the peak memory of this process in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000
