"""What a team decides in a step: sizes, choices, masks and ranges."""

import numpy as np
import pytest

from opspo.environments.base import EnvironmentSpec
from opspo.environments.decisions import (
    Action,
    allowed,
    choices_of,
    random_action,
    team_sizes,
    to_range,
)
from opspo.errors import ConfigError

INF = np.inf


def choosing(*counts):
    return Action(len(counts), counts, list)


def numbers(size):
    return Action(size, (), list)


@pytest.mark.parametrize(
    ("actions", "sizes"),
    [
        ([choosing(3), choosing(3)], {"num_actions": 3, "action_counts": ()}),
        ([choosing(3), choosing(5)], {"num_actions": 5, "action_counts": (3, 5)}),
        (
            [choosing(3, 2), choosing(2, 3)],
            {
                "num_actions": 3,
                "action_size": 2,
                "action_sizes": (),
                "decision_counts": ((3, 2), (2, 3)),
            },
        ),
        (
            [choosing(3, 3), choosing(3)],
            {"num_actions": 3, "action_size": 2, "action_sizes": (2, 1), "decision_counts": ()},
        ),
        # one decision beside several
        (
            [choosing(9), choosing(2, 3, 2)],
            {
                "num_actions": 9,
                "action_size": 3,
                "action_sizes": (1, 3),
                "decision_counts": ((9,), (2, 3, 2)),
            },
        ),
        ([numbers(4), numbers(4)], {"action_size": 4, "action_sizes": ()}),
        ([numbers(1), numbers(8)], {"action_size": 8, "action_sizes": (1, 8)}),
    ],
)
def test_the_specification_says_each_agents_own(actions, sizes):
    assert team_sizes(actions, "own/game") == sizes


def test_choices_beside_numbers_are_refused():
    with pytest.raises(ConfigError, match=r"own/game: some agents have discrete.*same kind"):
        team_sizes([choosing(2), numbers(2)], "own/game")


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [
        ({"num_actions": 3}, [[1, 1, 1], [1, 1, 1]]),
        ({"num_actions": 3, "action_counts": (3, 2)}, [[1, 1, 1], [1, 1, 0]]),
        ({"num_actions": 2, "action_size": 2}, [[[1, 1], [1, 1]]] * 2),
        (
            {"num_actions": 2, "action_size": 2, "action_sizes": (2, 1)},
            [[[1, 1], [1, 1]], [[1, 1], [1, 0]]],
        ),
        (
            {"num_actions": 3, "action_size": 2, "action_counts": (3, 2)},
            [[[1, 1, 1], [1, 1, 1]], [[1, 1, 0], [1, 1, 0]]],
        ),
        (
            {
                "num_actions": 4,
                "action_size": 2,
                "action_sizes": (2, 1),
                "decision_counts": ((2, 3), (4,)),
            },
            [[[1, 1, 0, 0], [1, 1, 1, 0]], [[1, 1, 1, 1], [1, 0, 0, 0]]],
        ),
    ],
)
def test_surplus_choices_are_never_available_and_a_surplus_decision_has_one(sizes, expected):
    spec = EnvironmentSpec("own/game", 2, 3, 3, **sizes)
    assert choices_of(spec).astype(int).tolist() == expected


@pytest.mark.parametrize(
    "own", [{"action_counts": (3, 2)}, {"action_size": 2, "decision_counts": ((3, 2), (1, 3))}]
)
def test_random_choices_are_all_that_are_available_and_no_other(own):
    spec, rng = EnvironmentSpec("own/game", 2, 3, 3, num_actions=3, **own), np.random.default_rng(0)
    available = np.broadcast_to(choices_of(spec), (200, 2, *spec.choices))
    drawn = random_action(spec, available, rng)
    assert drawn.shape == available.shape[:-1]
    for index in np.ndindex(available.shape[1:-1]):
        expected = np.flatnonzero(available[0][index])
        np.testing.assert_array_equal(np.unique(drawn[:, *index]), expected)


def test_random_numbers_are_in_their_range():
    spec = EnvironmentSpec("own/game", 2, 3, 3, action_size=4)
    drawn = random_action(spec, None, np.random.default_rng(0), lead=(200,))
    assert (drawn.shape, drawn.dtype) == ((200, 2, 4), np.float32)
    assert -1 <= drawn.min() < -0.9 and 0.9 < drawn.max() <= 1
    assert random_action(spec, None, np.random.default_rng(0)).shape == (2, 4)


@pytest.mark.parametrize(
    "mask",
    [
        (np.array([1, 0], np.int8), np.array([0, 1, 1], np.int8)),  # Gymnasium's MultiDiscrete
        [[1, 0], [0, 1, 1]],
        ((np.array([1, 0]),), (np.array([0, 1, 1]),)),
        np.array([1, 0, 0, 1, 1]),
        [True, False, False, True, True],
    ],
    ids=str,
)
def test_a_mask_is_a_row_or_an_array_for_each_decision(mask):
    got = allowed(mask, choosing(2, 3), 3, 4)
    assert got.astype(int).tolist() == [[1, 0, 0, 0], [0, 1, 1, 0], [1, 0, 0, 0]]


def test_decisions_of_one_length_may_come_as_a_matrix():
    got = allowed(np.array([[1, 0], [0, 1]]), choosing(2, 2), 2, 2)
    assert got.astype(int).tolist() == [[1, 0], [0, 1]]


def test_a_mask_of_another_length_says_so():
    with pytest.raises(ValueError, match="3 entries, but it has 5 choices"):
        allowed([1, 1, 1], choosing(2, 3), 2, 3)


@pytest.mark.parametrize(
    ("low", "high", "ends"),
    [
        (0, 1, (0, 1)),
        (-4, 2, (-4, 2)),
        (2, INF, (2, 4)),
        (-INF, 2, (0, 2)),
        (-INF, INF, (-1, 1)),
        (-1.5e308, 1.5e308, (-1.5e308, 1.5e308)),
    ],
)
def test_one_to_the_other_end(low, high, ends):
    centre, half = to_range([low], [high])
    assert half > 0  # the direction stays
    np.testing.assert_allclose([centre - half, centre + half], np.array(ends)[:, None])
