"""Pareto front: exactly the points that nothing dominates."""

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from snnhw.cost.pareto import pareto_front

POINTS = st.integers(1, 4).flatmap(lambda objectives: st.lists(
    st.tuples(*[st.integers(0, 4)] * objectives), min_size=1, max_size=25))


def dominates(left, right):
    return all(a <= b for a, b in zip(left, right, strict=True)) and left != right


@given(points=POINTS)
def test_front_is_what_nothing_dominates(points):
    expected = tuple(index for index, point in enumerate(points) if not any(dominates(other, point) for other in points))
    assert pareto_front(points) == expected


@given(points=POINTS, flips=st.sets(st.integers(0, 3)))
def test_maximising_is_minimising_the_negative(points, flips):
    columns = [column for column in flips if column < len(points[0])]
    turned = np.array(points) * np.where(np.isin(np.arange(len(points[0])), columns), -1, 1)
    assert pareto_front(turned, maximise=columns) == pareto_front(points)


def test_energy_against_accuracy():
    """The front of the published points: energy in mJ, accuracy in %; 3 bits pruned by 80 % are dominated."""
    points = [(8.67, 96.53), (9.13, 97.22), (9.59, 97.57), (10.94, 97.57), (11.06, 97.92), (13.98, 97.57)]
    assert pareto_front(points, maximise=[1]) == (0, 1, 2, 4)


def test_equal_points_all_stay():
    assert pareto_front([(1, 2), (1, 2), (2, 1), (2, 2)]) == (0, 1, 2)


def test_no_points_have_no_front():
    assert pareto_front([]) == ()


@pytest.mark.parametrize(("points", "maximise", "message"), [
    ([1, 2], (), "Points must have shape (points, objectives), not (2,)"),
    ([(1, float("nan"))], (), "Objective 1 of point 0 must be finite, not nan"),
    ([(1, 2)], (2,), "Objective to maximise must be between 0 and 1, not 2"),
    ([(1, 2)], (-1,), "Objective to maximise must be between 0 and 1, not -1"),
])
def test_wrong_points_are_refused(points, maximise, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        pareto_front(points, maximise=maximise)
