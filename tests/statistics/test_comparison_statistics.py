"""Statistics of a comparison, for cases that can be calculated by hand."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from scipy.special import expit
from scipy.stats import beta, binom

from aligners.core.errors import UserError
from aligners.core.rows import write_rows
from aligners.statistics.comparison import Comparison, compare
from aligners.statistics.intervals import UNSEEN, mean_score, share
from aligners.statistics.length_control import length_controlled_rate
from aligners.statistics.paired_tests import (
    PairedTest,
    common_preferences,
    holm,
    mean_difference,
    paired_tests,
)
from aligners.statistics.verdicts import check_verdicts, preferences, read_verdicts

NAN = float("nan")


def table(first: list[float], second: list[float] | None = None, **columns: Any) -> pd.DataFrame:
    """Return verdicts on as many questions; without `second`, both orders agree."""
    given = {
        "id": [f"q{number}" for number in range(len(first))],
        "category": None,
        "first_order": first,
        "second_order": first if second is None else second,
        "length": 10.0,
        "reference_length": 10.0,
        "unchanged": False,
        "identical": False,
    }
    return pd.DataFrame({**given, **columns})


@pytest.fixture(scope="module")
def comparison() -> Comparison:
    """Eight questions: won, flipped, lost, won with one tie, tied, unusable, won, lost."""
    return compare(
        table(
            [1.0, 1.0, 0.0, 1.0, 0.5, NAN, 0.9, 0.2],
            [1.0, 0.0, 0.0, 0.5, 0.5, 1.0, 0.8, 0.6],
            category=["a", "a", "b", "b", None, "b", "a", "c"],
            length=[30, 10, 10, 10, 10, 10, 10, 10],
            reference_length=[10, 30, 30, 30, 10, 10, 10, 5],
            unchanged=[False, False, False, False, True, True, False, False],
            identical=[False, False, False, False, True, False, False, False],
        ),
        seed=0,
        against_base=True,
    )


def test_the_preference_of_a_question_is_the_mean_of_its_orders(comparison: Comparison) -> None:
    counts = comparison.outcomes
    assert (counts.wins, counts.ties, counts.losses, counts.unusable) == (3, 2, 2, 1)
    scores = [1, 0.5, 0, 0.75, 0.5, 0.85, 0.4]
    assert comparison.win_rate.value == pytest.approx(sum(scores) / 7)
    assert comparison.win_rate.n == 7


def test_every_category_has_a_rate_and_their_n_add_up(comparison: Comparison) -> None:
    rates = {name: (rate.value, rate.n) for name, rate in comparison.by_category.items()}
    assert rates == {
        "a": (pytest.approx((1 + 0.5 + 0.85) / 3), 3),
        "b": (pytest.approx(0.75 / 2), 2),
        "c": (pytest.approx(0.4), 1),
        "uncategorised": (0.5, 1),
    }
    assert sum(rate.n for rate in comparison.by_category.values()) == comparison.win_rate.n


def test_a_flip_is_a_question_whose_orders_prefer_different_texts(comparison: Comparison) -> None:
    # The second and the last question. A tie is not a flip. The fifth has identical texts, which no
    # judge gets, and the sixth has only one order.
    assert (comparison.flip_rate.value, comparison.flip_rate.n) == (2 / 6, 6)


def test_a_tie_of_different_texts_with_equal_lengths_was_judged() -> None:
    verdicts = table([0.5, 1.0], [0.5, 0.0], unchanged=[True, False])
    assert compare(verdicts, seed=0, against_base=False).flip_rate.n == 2


def test_lengths_and_unchanged_texts_are_counted(comparison: Comparison) -> None:
    # Decided with unequal lengths: the longer text won the first and the third question, the
    # shorter text won the fourth and the last.
    assert (comparison.longer_won.value, comparison.longer_won.n) == (2 / 4, 4)
    assert comparison.mean_length == pytest.approx(100 / 8)
    assert comparison.mean_reference_length == pytest.approx(135 / 8)
    assert (comparison.copy_rate.value, comparison.copy_rate.n) == (2 / 8, 8)


def test_harm_is_a_changed_response_that_the_judge_preferred_before(comparison: Comparison) -> None:
    # The third and the last of six changed responses; the fifth and the sixth are unchanged.
    assert (comparison.harm_rate.value, comparison.harm_rate.n) == (2 / 6, 6)
    verdicts = table([0.0, 1.0], unchanged=[False, True])
    assert compare(verdicts, seed=0, against_base=False).harm_rate.n == 0


def test_few_questions_have_no_length_controlled_rate(comparison: Comparison) -> None:
    assert comparison.length_controlled.rate is None
    assert "20" in str(comparison.length_controlled.reason)


def test_one_order_is_not_a_verdict() -> None:
    judged = compare(table([1.0, 0.0, 1.0], [NAN] * 3), seed=0, against_base=False)
    assert (judged.outcomes.unusable, judged.win_rate.n) == (3, 0)


def test_a_comparison_without_questions_has_no_rates() -> None:
    judged = compare(table([]), seed=0, against_base=True)
    assert (judged.win_rate.n, judged.copy_rate.n, judged.mean_length) == (0, 0, None)


def test_a_comparison_without_verdicts_has_no_win_rate() -> None:
    judged = compare(table([NAN, NAN]), seed=0, against_base=True)
    assert judged.outcomes.unusable == 2
    assert (judged.win_rate.value, judged.win_rate.low, judged.win_rate.n) == (None, None, 0)
    assert judged.by_category == {}


def test_the_interval_of_a_share_is_wilsons() -> None:
    z, p, n = 1.959964, 0.7, 10
    middle = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * np.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    found = share([True] * 7 + [False] * 3)
    assert (found.low, found.high) == pytest.approx((middle - half, middle + half), abs=1e-6)


@pytest.mark.parametrize("won", [0, 1, 15, 29, 30])
def test_the_interval_of_wins_and_losses_is_nearly_that_of_a_beta_distribution(won: int) -> None:
    found = mean_score(np.repeat([1.0, 0.0], [won, 30 - won]), seed=0)
    low = beta.ppf(0.025, won, 30 - won + UNSEEN) if won else 0
    high = beta.ppf(0.975, won + UNSEEN, 30 - won) if won < 30 else 1
    assert (found.low, found.high) == pytest.approx((low, high), abs=0.01)
    assert found.value == pytest.approx(won / 30)


def test_ties_make_the_interval_narrower_than_that_of_wins_and_losses() -> None:
    scores = np.array([1.0] * 60 + [0.5] * 280 + [0.0] * 60)
    found = mean_score(scores, seed=0)
    deviation = np.sqrt(120 / 400) / 2
    half = 1.96 * deviation / np.sqrt(400)
    assert (found.low, found.high) == pytest.approx((0.5 - half, 0.5 + half), abs=0.004)
    assert found == mean_score(scores[::-1], seed=0)


def test_verdicts_that_are_nearly_certain_have_the_interval_of_wins() -> None:
    certain, nearly = (mean_score(np.full(50, score), seed=0) for score in (1.0, 0.99))
    assert nearly.low == pytest.approx(certain.low, abs=0.02)
    assert nearly.low < 0.95


def test_verdicts_that_are_nearly_ties_have_a_narrow_interval() -> None:
    found = mean_score(np.linspace(0.45, 0.55, 100), seed=0)
    assert 0.49 < found.low < 0.5 < found.high < 0.51


def test_only_ties_have_an_interval_with_a_width() -> None:
    found = mean_score(np.full(20, 0.5), seed=0)
    assert 0.4 < found.low < 0.48 and 0.52 < found.high < 0.6


Draw = Callable[[np.random.Generator, float, int], NDArray[np.float64]]


def wins_and_ties(generator: np.random.Generator, mean: float, size: int) -> NDArray[np.float64]:
    """Return scores of 0, 0.5 and 1; two of three questions that are not won are ties."""
    tied = 1 - mean
    return generator.choice([0, 0.5, 1], size, p=[tied / 2, tied, 1 - 1.5 * tied])


def probabilities(generator: np.random.Generator, mean: float, size: int) -> NDArray[np.float64]:
    """Return scores of which most are near 0 or 1."""
    return generator.beta(mean, 1 - mean, size)


def near_ends(generator: np.random.Generator, mean: float, size: int) -> NDArray[np.float64]:
    """Return scores around 0.01 or 0.99; their expectation is `mean`."""
    error = generator.beta(0.5, 49.5, size)
    won = generator.random(size) < (mean - 0.01) / 0.98
    return np.where(won, 1 - error, error)


def near_ties(generator: np.random.Generator, mean: float, size: int) -> NDArray[np.float64]:
    """Return scores near 0.5, but for one in ten near 0 or 1; their expectation is 0.5."""
    decided = generator.random(size) < 0.1
    return np.where(decided, near_ends(generator, mean, size), generator.beta(500, 500, size))


# Each case fails without the unseen question, and the last also if near-ties hide its strength.
@pytest.mark.parametrize(
    ("draw", "mean", "size"),
    [
        (wins_and_ties, 0.97, 20),
        (probabilities, 0.97, 50),
        (probabilities, 0.9, 20),
        (near_ends, 0.95, 50),
        (near_ends, 0.97, 100),
        (near_ties, 0.5, 20),
    ],
)
def test_the_interval_covers_the_mean_in_93_percent_of_samples(
    draw: Draw, mean: float, size: int
) -> None:
    generator = np.random.default_rng(0)
    found = [mean_score(draw(generator, mean, size), seed, resamples=499) for seed in range(600)]
    covered = np.mean([each.low <= mean <= each.high for each in found])
    assert covered >= 0.93 - 2 * np.sqrt(0.93 * 0.07 / 600)


@pytest.mark.parametrize("draw", [wins_and_ties, probabilities])
@pytest.mark.parametrize("mean", [0.5, 0.9])
def test_the_interval_of_many_questions_is_not_too_wide(draw: Draw, mean: float) -> None:
    generator = np.random.default_rng(0)
    found = [mean_score(draw(generator, mean, 200), seed, resamples=499) for seed in range(300)]
    covered = np.mean([each.low <= mean <= each.high for each in found])
    assert 0.92 <= covered <= 0.98


def test_systems_are_compared_on_the_questions_that_both_have() -> None:
    first = table([1.0, 0.0, 1.0, NAN])
    second = table([0.0, 0.5, 1.0, 1.0])[::-1]
    common = common_preferences(first, second)
    assert common.index.tolist() == ["q0", "q1", "q2"]
    assert (common["first"] - common["second"]).tolist() == [1.0, -0.5, 0.0]
    other = table([1.0], id=["elsewhere"])
    assert paired_tests({(): {"one": first, "other": other}}, seed=0) == []


def paired_test(first: Sequence[float], second: Sequence[float]) -> PairedTest:
    """Return the test of two systems with these verdicts."""
    systems = {"one": table(list(first)), "other": table(list(second))}
    [test] = paired_tests({(): systems}, seed=0, resamples=1999)
    return test


@pytest.mark.parametrize(("better", "worse"), [(3, 0), (6, 0), (9, 2), (30, 14), (20, 20)])
def test_the_p_value_is_near_mcnemars_mid_p_and_not_above_the_exact_value(
    better: int, worse: int
) -> None:
    first = [1.0] * better + [0.0] * worse + [1.0] * 50
    second = [0.0] * better + [1.0] * worse + [1.0] * 50
    found = paired_test(first, second).p_value
    exact = min(1.0, 2 * binom.sf(better - 1, better + worse, 0.5))
    middle = 2 * binom.sf(better - 1, better + worse, 0.5) - binom.pmf(better, better + worse, 0.5)
    assert 0.8 * min(middle, 1) - 0.005 <= found <= 1.1 * exact + 0.005


def test_equal_verdicts_have_a_p_value_of_1_and_an_interval_with_a_width() -> None:
    same = paired_test([1.0] * 30, [1.0] * 30)
    assert same.p_value == 1
    assert -0.2 < same.difference.low < -0.03 and 0.03 < same.difference.high < 0.2


def test_the_p_value_is_below_5_percent_if_and_only_if_the_interval_excludes_0() -> None:
    generator = np.random.default_rng(0)
    significant = []
    for number in range(1000):
        size = generator.integers(1, 120)
        first, second = generator.beta(*generator.uniform(0.05, 2, 2), (2, size))
        if number % 2:
            first, second = np.round(2 * first) / 2, np.round(2 * second) / 2
        if number % 4 > 1:
            first = np.where(generator.random(size) < 0.8, second, first)
        worse = np.clip(second - generator.choice([0, 0.2, 0.4]), 0, 1)
        scores = pd.DataFrame({"first": first, "second": worse})
        difference, p_value = mean_difference(scores, seed=number, resamples=999)
        excluded = difference.low > 0 or difference.high < 0
        assert (p_value < 0.05) == excluded
        significant.append(excluded)
    assert 0.2 < np.mean(significant) < 0.8


@pytest.mark.parametrize("size", [20, 100])
@pytest.mark.parametrize("changed", [0.1, 0.5])
@pytest.mark.parametrize("draw", [wins_and_ties, probabilities, near_ends])
def test_the_interval_of_a_difference_covers_it_in_93_percent_of_samples(
    draw: Draw, changed: float, size: int
) -> None:
    generator = np.random.default_rng(0)
    covered = 0
    for seed in range(400):
        first, second = draw(generator, 0.9, size), draw(generator, 0.7, size)
        second = np.where(generator.random(size) < changed, second, first)
        scores = pd.DataFrame({"first": first, "second": second})
        difference, _ = mean_difference(scores, seed, 499)
        covered += difference.low <= 0.2 * changed <= difference.high
    assert covered / 400 >= 0.93 - 2 * np.sqrt(0.93 * 0.07 / 400)


def test_holm_multiplies_by_the_hypotheses_left() -> None:
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([]) == []


def test_every_two_systems_are_tested_and_corrected_together() -> None:
    good, equal = [1.0] * 40 + [0.5] * 20, [0.5] * 60
    systems = {"good": table(good), "b": table(equal), "c": table(equal)}
    tests = paired_tests({("base",): systems}, seed=0)
    found = {(test.first, test.second): test for test in tests}
    assert set(found) == {("good", "b"), ("good", "c"), ("b", "c")}
    best = found["good", "b"]
    assert best.difference.value == pytest.approx(20 / 60)
    assert 0.25 < best.difference.low < 1 / 3 < best.difference.high < 0.42
    assert best.adjusted == pytest.approx(3 * best.p_value)
    assert best.adjusted < 0.01
    twice = paired_tests({("base",): systems, ("finetuned",): systems}, seed=0)
    assert {test.group for test in twice} == {("base",), ("finetuned",)}
    assert twice[0].adjusted == pytest.approx(6 * best.p_value)
    equal_systems = found["b", "c"]
    assert (equal_systems.p_value, equal_systems.adjusted) == (1.0, 1.0)
    assert equal_systems.difference.low < 0 < equal_systems.difference.high


def biased(number: int = 200) -> pd.DataFrame:
    """Return verdicts that follow the regression: 0.6 at equal lengths, more for longer texts."""
    differences = np.linspace(-300, 500, number)
    scores = expit(np.log(0.6 / 0.4) + 1.5 * np.tanh(differences / differences.std()))
    return table(list(scores), length=1000 + differences, reference_length=1000)


def test_the_regression_finds_the_rate_at_equal_lengths() -> None:
    verdicts = biased()
    rate = length_controlled_rate(verdicts).rate
    assert rate is not None
    assert rate.value == pytest.approx(0.6, abs=1e-6)
    assert rate.n == 200
    assert preferences(verdicts).mean() > 0.65


def test_identical_texts_are_left_out_of_the_fit_and_count_as_ties() -> None:
    copies = table([0.5] * 200, id=[f"copy{number}" for number in range(200)], identical=True)
    rate = length_controlled_rate(pd.concat([biased(), copies], ignore_index=True)).rate
    assert rate is not None
    assert (rate.value, rate.n) == (pytest.approx((0.6 + 0.5) / 2, abs=1e-6), 400)


def test_the_interval_is_that_of_a_proportion_if_length_has_no_effect() -> None:
    # Lengths are balanced and 60% are won at each, so the constant is independent of the slope.
    scores = [1.0, 1.0, 1.0, 0.0, 0.0] * 80
    lengths = [length for length in (900.0, 950.0, 1050.0, 1100.0) for _ in range(100)]
    rate = length_controlled_rate(table(scores, length=lengths, reference_length=1000.0)).rate
    assert rate is not None
    half = 1.96 * np.sqrt(0.6 * 0.4 / 400)
    assert rate.value == pytest.approx(0.6)
    assert (rate.low, rate.high) == pytest.approx((0.6 - half, 0.6 + half), abs=0.002)


@pytest.mark.parametrize(
    ("scores", "differences", "reason"),
    [
        ([1.0] * 100, range(-50, 50), "only 0 of one"),
        ([0.5] * 100, range(-50, 50), "verdicts are equal"),
        ([0.0, 1.0] * 50, [7] * 100, "same number"),
        ([0.0, 1.0] * 50, range(1, 101), "longer"),
        ([0.0] * 50 + [1.0] * 50, range(-50, 50), "lengths alone"),
        # One common length does not help: there is still no finite coefficient.
        ([0.0] * 49 + [0.5] + [1.0] * 50, range(-50, 50), "lengths alone"),
    ],
)
def test_a_regression_that_cannot_be_fitted_has_a_reason(
    scores: Any, differences: Any, reason: str
) -> None:
    lengths = [1000 + difference for difference in differences]
    result = length_controlled_rate(table(list(scores), length=lengths, reference_length=1000))
    assert result.rate is None
    assert reason in str(result.reason)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"id": ["q", "q"]}, r"\bid\b.*'q'"),
        ({"second_order": [0.5, 1.5]}, r"second_order.*'q1'.*1\.5"),
        ({"length": [10.0, NAN]}, "length.*'q1'.*nan"),
    ],
)
def test_a_wrong_value_in_a_table_is_an_error(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        check_verdicts(table([1.0, 0.0], **change))


def test_a_table_without_a_column_is_an_error() -> None:
    with pytest.raises(ValueError, match="'unchanged'"):
        check_verdicts(table([1.0]).drop(columns="unchanged"))


def test_a_file_of_verdicts_without_the_field_identical_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "verdicts.jsonl"
    verdicts = table([1.0, 0.0]).astype({"length": int, "reference_length": int})
    rows = verdicts.assign(category_id=None).to_dict("records")
    write_rows(path, rows)
    assert read_verdicts(path)["identical"].tolist() == [False, False]
    del rows[1]["identical"]
    write_rows(path, rows)
    with pytest.raises(UserError, match=r"verdicts\.jsonl, line 2.*'identical'"):
        read_verdicts(path)
