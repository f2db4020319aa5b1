"""Chunks and their division into minibatches."""

import jax
import numpy as np
import pytest

from opspo.rollout.chunks import chunk_starts, from_chunks, to_chunks
from opspo.update.minibatch import split

LAYOUTS = [(6, 2, 1), (6, 2, 3), (6, 2, 6), (4, 1, 2), (5, 3, 1), (5, 3, 5)]
layouts = pytest.mark.parametrize(("steps", "envs", "length"), LAYOUTS)


def labelled(steps, envs, *rest):
    """Numbers that say where they come from."""
    shape = (steps, envs, *rest)
    return np.arange(np.prod(shape)).reshape(shape)


@layouts
def test_chunks_are_pieces_of_one_environment(steps, envs, length):
    x = labelled(steps, envs, 2)
    chunks = np.asarray(to_chunks(x, length))
    assert chunks.shape == (length, steps // length * envs, 2)
    chunk = 0
    for env in range(envs):
        for piece in range(steps // length):
            for step in range(length):
                origin = x[piece * length + step, env]
                np.testing.assert_array_equal(chunks[step, chunk], origin)
            chunk += 1


@layouts
def test_from_chunks_undoes_to_chunks(steps, envs, length):
    for rest in ((), (3,), (3, 2)):
        x = labelled(steps, envs, *rest)
        np.testing.assert_array_equal(from_chunks(to_chunks(x, length), envs), x)


@layouts
def test_chunk_starts_are_the_first_steps(steps, envs, length):
    x = labelled(steps, envs, 2)
    starts = chunk_starts(x, length)
    np.testing.assert_array_equal(starts, to_chunks(x, length)[0])
    for piece in range(steps // length):
        for env in range(envs):
            np.testing.assert_array_equal(
                starts[env * (steps // length) + piece], x[piece * length, env]
            )


def batch_of_twelve():
    x, y = labelled(12, 2), labelled(12, 2, 3)
    sequences = {"x": to_chunks(x, 2), "y": to_chunks(y, 2), "none": None}
    return sequences, {"start": chunk_starts(x, 2), "wide": chunk_starts(y, 2)}


@pytest.mark.parametrize("parts", [1, 2, 3, 12])
def test_split_deals_each_chunk_once_and_whole(parts):
    sequences, starts = batch_of_twelve()
    dealt, dealt_starts = split(sequences, starts, jax.random.PRNGKey(3), parts)
    size = 12 // parts
    assert dealt["x"].shape == (parts, 2, size)
    assert dealt["y"].shape == (parts, 2, size, 3)
    assert dealt["none"] is None
    assert dealt_starts["start"].shape == (parts, size)
    column = {int(s): c for c, s in enumerate(starts["start"])}
    seen = []
    for part, place in np.ndindex(parts, size):
        chunk = column[int(dealt_starts["start"][part, place])]
        seen.append(chunk)
        np.testing.assert_array_equal(dealt["x"][part, :, place], sequences["x"][:, chunk])
        np.testing.assert_array_equal(dealt["y"][part, :, place], sequences["y"][:, chunk])
        np.testing.assert_array_equal(dealt_starts["wide"][part, place], starts["wide"][chunk])
    assert sorted(seen) == list(range(12))
    # each of the neighbours goes to another minibatch, and not always in the same order
    groups = np.reshape(seen, (parts, size)).T
    np.testing.assert_array_equal(np.sort(groups, axis=1).ravel(), np.arange(12))
    if parts > 1:
        assert groups.ravel().tolist() != list(range(12))


def test_split_depends_on_the_key_only():
    sequences, starts = batch_of_twelve()
    one, again, other = (
        np.asarray(split(sequences, starts, jax.random.PRNGKey(seed), 3)[1]["start"])
        for seed in (0, 0, 1)
    )
    np.testing.assert_array_equal(one, again)
    assert (one != other).any()
