"""Gymnasium's spaces: vectors out of observations, actions out of numbers and choices."""

import numpy as np
import pytest
from gymnasium.spaces import (
    Box,
    Dict,
    Discrete,
    Graph,
    MultiBinary,
    MultiDiscrete,
    OneOf,
    Sequence,
    Space,
    Text,
    Tuple,
)

from opspo.environments.spaces import action_of, view_of
from opspo.errors import ConfigError

WHO = "own/game: agent 'a'"
INF, MOST = np.inf, np.finfo(np.float32).max
IMAGE = Box(0, 255, (8, 8, 3), np.uint8)


@pytest.mark.parametrize(
    ("space", "value", "vector"),
    [
        (Box(-1, 1, (3,)), [0.5, -1, 1], [0.5, -1, 1]),
        (Box(-1, 1, (2, 2)), np.array([[0.1, 0.2], [0.3, 0.4]]), [0.1, 0.2, 0.3, 0.4]),
        (Box(-9, 9, ()), 4, [4]),
        (Box(0, 255, (4,), np.uint8), np.array([0, 1, 128, 255], np.uint8), [0, 1, 128, 255]),
        (Box(0, 255, (2, 2), np.uint8), np.eye(2, dtype=np.uint8), [1, 0, 0, 1]),
        (Box(0, 1, (2,), np.float16), np.array([0.5, 1], np.float16), [0.5, 1]),
        # what is more than its space says comes in whole
        (Box(0, 9, (2,), np.int64), [0.25, 1.75], [0.25, 1.75]),
        (Box(0, 1, (2, 1, 2)), np.ones((2, 1, 2)), [1, 1, 1, 1]),
        (Discrete(3), 2, [0, 0, 1]),
        (Discrete(3), np.array([1]), [0, 1, 0]),
        (Discrete(3, start=-1), -1, [1, 0, 0]),
        (Discrete(2), True, [0, 1]),
        (MultiDiscrete([2, 3]), [1, 0], [0, 1, 1, 0, 0]),
        (MultiDiscrete([2, 3], start=[5, -1]), np.array([5, 1]), [1, 0, 0, 0, 1]),
        (MultiDiscrete([[2, 2], [2, 2]]), [[0, 1], [1, 0]], [1, 0, 0, 1, 0, 1, 1, 0]),
        (MultiBinary(3), np.array([1, 0, 1], np.int8), [1, 0, 1]),
        (MultiBinary((2, 2)), [[1, 0], [0, 1]], [1, 0, 0, 1]),
        (
            Dict(observation=Box(-1, 1, (2,)), action_mask=MultiBinary(2)),
            {"observation": [0.1, 0.2], "action_mask": [1, 0]},
            [0.1, 0.2],
        ),
        # a mask of which the space does not tell
        (
            Dict(observation=Box(-1, 1, (2,))),
            {"observation": [0.1, 0.2], "action_mask": [1, 0]},
            [0.1, 0.2],
        ),
        (Box(-1, 1, (2,)), {"observation": [0.1, 0.2], "action_mask": [1, 0]}, [0.1, 0.2]),
        # beside "observation" everything counts, however deep
        (
            Dict(
                action_mask=MultiBinary(2),
                goal=Discrete(2),
                observation=Tuple((Box(-1, 1, (1,)), Dict(x=MultiDiscrete([2, 2])))),
            ),
            {"observation": ([0.5], {"x": [1, 1]}), "goal": 0, "action_mask": [1, 1]},
            [1, 0, 0.5, 0, 1, 0, 1],
        ),
        (Tuple((Discrete(2), Box(0, 1, (2,)))), (1, [0.2, 0.4]), [0, 1, 0.2, 0.4]),
    ],
    ids=str,
)
def test_an_observation_becomes_a_vector(space, value, vector):
    view = view_of(space, WHO)
    out = view.encode(value)
    assert (view.size, out.dtype) == (len(vector), np.float32)
    np.testing.assert_allclose(out, vector, rtol=1e-6)


@pytest.mark.parametrize(
    ("space", "size"),
    [
        (Box(0, 1, (5, 5, 3)), 75),
        (MultiBinary((5, 5, 3)), 75),
        (Box(0, 1, (19, 19, 17), np.int8), 6137),  # Go
        (Box(0, 1, (4, 84, 3)), 1008),
        (Box(0, 1, (84, 84)), 7056),
        (Box(0, 255, (40, 4), np.uint8), 160),
        (Box(0, 255, (7056,), np.uint8), 7056),
    ],
    ids=str,
)
def test_boards_tables_and_rows_are_no_images(space, size):
    out = view_of(space, WHO).encode(space.low if isinstance(space, Box) else np.zeros(space.shape))
    assert out.shape == (size,)


class Strange(Space):
    """Has all that a Discrete and a Box have, and is neither."""

    n, start, nvec, low, high = 3, 0, np.array([3]), np.zeros(1), np.ones(1)

    def __repr__(self):  # the tests' names must be the same in every process
        return "Strange()"


@pytest.mark.parametrize(
    ("space", "says"),
    [
        (IMAGE, "image.*vector of features"),
        (Box(0, 1, (3, 8, 8), np.uint8), "image"),
        (Box(0, 255, (8, 8, 1), np.float32), "image"),
        (Box(0, 255, (84, 84), np.uint8), "image.*to one row"),
        (Box(0, 255, (20, 20), np.float32), "image"),
        (Box(0, 1, (84, 84, 3), np.float32), "image"),
        (Box(-INF, INF, (3, 28, 28)), "image"),
        (MultiBinary((84, 84, 3)), "image"),
        (Box(0, 255, (4, 84, 84, 3), np.uint8), "image"),
        (Box(0, 1, (4, 84, 84, 3)), "image"),
        (Box(0, 255, (2, 5, 5, 3), np.uint8), "image"),
        (Dict(camera=IMAGE, speed=Box(0, 1, (1,))), "agent 'a', 'camera', observes an image"),
        (Tuple((Box(0, 1, (1,)), IMAGE)), "part 1, observes an image"),
        (Text(5), "Text.*fixed size"),
        (Graph(Box(0, 1, (1,)), None), "Graph.*fixed size"),
        (Sequence(Discrete(2)), "Sequence.*fixed size"),
        (OneOf((Discrete(2), Discrete(3))), "OneOf.*fixed size"),
        (Dict(words=Text(3)), "'words', observes a Text"),
        (Dict(action_mask=MultiBinary(2)), "nothing but its action_mask"),
        (
            Dict(inner=Dict(x=Discrete(2), action_mask=MultiBinary(2))),
            "agent 'a', 'inner', has an action_mask nested.*among the top-level keys",
        ),
        (Tuple((Discrete(2), Dict(action_mask=MultiBinary(2)))), "part 1, has an action_mask"),
        (
            Dict(action_mask=MultiBinary(2), y=Tuple((Dict(action_mask=MultiBinary(2)),))),
            "'y', part 0, has an action_mask",
        ),
        (Strange((1,), np.float32), "Strange"),
    ],
    ids=str,
)
def test_what_is_no_vector_is_refused_with_the_agent_and_the_space(space, says):
    with pytest.raises(ConfigError, match=rf"own/game: agent 'a'.*{says}|{says}") as caught:
        view_of(space, WHO)
    assert WHO in str(caught.value)


@pytest.mark.parametrize(
    ("space", "value"),
    [
        (Box(0, 1, (3,)), [0, 0]),
        (Box(0, 1, (2, 2)), np.zeros((3, 2))),
        (Discrete(3), 3),
        (Discrete(3), -1),  # counted from the end it would be 2
        (Discrete(3, start=1), 0),
        (Discrete(3), 1.5),
        (Discrete(3), [0, 1]),
        (MultiDiscrete([2, 3]), [1, 3]),
        (MultiDiscrete([2, 3]), [0, -1]),
        (MultiBinary(3), [1, 0]),
        (Dict(a=Discrete(2), b=Discrete(2)), {"a": 0}),
        (Box(0, 1, (1,)), None),
    ],
    ids=str,
)
def test_what_does_not_fit_its_space_is_an_error(space, value):
    with pytest.raises((ValueError, KeyError, TypeError)):
        out = view_of(space, WHO).encode(value)
        raise AssertionError(out)


@pytest.mark.parametrize(
    ("space", "own", "action"),
    [
        (Discrete(3), [2], 2),
        (Discrete(3, start=5), [0], 5),
        (MultiDiscrete([2, 3]), [1, 2], [1, 2]),
        (MultiDiscrete([2, 3], start=[4, -2]), [1, 2], [5, 0]),
        (MultiDiscrete([[2, 3], [4, 5]]), [1, 2, 3, 4], [[1, 2], [3, 4]]),
        (MultiDiscrete([7]), [3], [3]),
        (MultiBinary(3), [1, 0, 1], [1, 0, 1]),
        (MultiBinary((2, 1)), [0, 1], [[0], [1]]),
        (Box(0, 4, (3,)), [-1, 0, 1], [0, 2, 4]),
        (Box(0, 4, (3,)), [-7, 0.5, 7], [0, 3, 4]),
        (Box(np.float32([[0, -2]]), np.float32([[1, 2]])), [0, 0.5], [[0.5, 1]]),
        # from its one end on in its own direction
        (Box(2, INF, (3,)), [-1, 0, 1], [2, 3, 4]),
        (Box(-INF, 2, (3,)), [-1, 0, 1], [0, 1, 2]),
        (Box(-INF, INF, (3,)), [-1, 0.5, 1], [-1, 0.5, 1]),
        (Box(-MOST, MOST, (2,)), [-1, 0.5], [-1, 0.5]),
        (Box(-1e30, 1e30, (1,)), [1], [1e30]),
        (Box(0, 10, (4,), np.int64), [-1, 0.08, 0.12, 1], [0, 5, 6, 10]),
        (Box(3, INF, (2,), np.int32), [-1, 1], [3, 5]),
        (Box(0, 2, ()), [0], 1.0),
    ],
    ids=str,
)
def test_choices_and_numbers_become_an_action(space, own, action):
    it = action_of(space, WHO)
    out = it.decode(np.array(own))
    assert it.size == len(own)
    assert bool(it.counts) != isinstance(space, Box)
    np.testing.assert_allclose(out, action, rtol=1e-6)
    assert space.contains(out)


def test_a_dict_and_a_tuple_of_one_kind_are_taken_apart():
    space = Dict(talk=Discrete(4, start=1), move=Tuple((MultiDiscrete([2, 3]), MultiBinary(1))))
    it = action_of(space, WHO)
    assert it.counts == (4, 2, 3, 2)
    out = it.decode(np.array([3, 1, 2, 1]))
    assert space.contains(out)
    assert (out["talk"], out["move"][0].tolist(), out["move"][1].tolist()) == (4, [1, 2], [1])
    space = Tuple((Box(0, 2, (2,)), Box(5, INF, (1, 1))))
    it = action_of(space, WHO)
    assert (it.size, it.counts) == (3, ())
    one, other = it.decode(np.array([-1.0, 1.0, 0.0]))
    assert (one.tolist(), other.tolist()) == ([0, 2], [[6]])


@pytest.mark.parametrize(
    "space",
    [
        Box(-3, 7, (2, 3)),
        Box(np.float32([2, -INF, -INF, 0.1]), np.float32([INF, 2, INF, 0.3])),
        Box(0, 3, (2,), np.uint8),
        MultiDiscrete([[3, 2], [5, 1]], start=[[1, 2], [3, 4]]),
        Dict(a=Discrete(3, start=-1), b=MultiBinary(2)),
    ],
    ids=str,
)
def test_whatever_is_decided_lies_in_the_space(space):
    it, rng = action_of(space, WHO), np.random.default_rng(0)
    for _ in range(200):
        own = rng.integers(0, it.counts) if it.counts else 3 * rng.normal(size=it.size)
        assert space.contains(it.decode(own))


@pytest.mark.parametrize(
    ("space", "says"),
    [
        (Text(5), "Text"),
        (Sequence(Discrete(2)), "Sequence"),
        (OneOf((Discrete(2), Box(0, 1))), "OneOf"),
        (Dict(a=Discrete(2), b=Box(0, 1)), "mixes choices and numbers"),
        (Tuple((Discrete(2), Text(2))), "Text"),
        (Tuple(()), "no part"),
        (Strange((1,), np.float32), "Strange"),
    ],
    ids=str,
)
def test_what_is_no_action_is_refused_with_the_agent_and_the_space(space, says):
    with pytest.raises(ConfigError, match=rf"own/game: agent 'a' acts in a.*{says}.*"):
        action_of(space, WHO)
