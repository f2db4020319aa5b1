"""Saving and restoring the whole training state with Orbax: atomic, and never unpickled."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import orbax.checkpoint as ocp

from opspo.estimators.normalise import from_raw_moments
from opspo.runs import RunError
from opspo.types import Params

logging.getLogger("absl").setLevel(logging.ERROR)  # Orbax reports each save through it


def _flatten(tree: Any) -> dict[str, Any]:
    """{path: array}, without arrays of no elements, which Orbax does not take."""
    leaves = jax.tree_util.tree_flatten_with_path(tree)[0]
    return {
        jax.tree_util.keystr(path, simple=True, separator="."): leaf
        for path, leaf in leaves
        if leaf.size > 0
    }


def _of_today(flat: dict[str, Any]) -> dict[str, Any]:
    """What earlier versions wrote, under the names of today."""
    names = [f"value_statistics.{name}" for name in ("mean", "mean_square", "weight")]
    if names[1] not in flat:
        return flat
    statistics = from_raw_moments(*(jnp.asarray(flat[name]) for name in names))
    kept = {name: x for name, x in flat.items() if name not in names}
    return kept | _flatten({"value_statistics": statistics})


def _unflatten(template: Any, flat: dict[str, Any]) -> Any:
    expected = set(_flatten(template))
    if expected != set(flat):
        raise ValueError(
            f"it has {sorted(set(flat) - expected) or 'nothing more'} and lacks "
            f"{sorted(expected - set(flat)) or 'nothing'}"
        )

    def leaf(path: Any, like: Any) -> Any:
        if like.size == 0:
            return jnp.zeros(like.shape, like.dtype)
        name = jax.tree_util.keystr(path, simple=True, separator=".")
        saved = flat[name]
        if saved.shape != like.shape:  # Orbax does not mind
            raise ValueError(f"{name} has the shape {saved.shape}, where {like.shape} is expected")
        # Orbax commits arrays to a device, which a fresh state's are not: the iteration would
        # compile anew for them
        return jnp.asarray(jax.device_get(saved))

    return jax.tree_util.tree_map_with_path(leaf, template)


class Checkpoints:
    """The checkpoints of one folder, numbered by iteration; saving leaves the latest `keep`."""

    def __init__(self, path: Path, *, keep: int | None = None) -> None:
        self.path = path.absolute()
        # each process writes by itself: what it is given is already whole
        alone = ocp.options.MultiprocessingOptions(
            primary_host=jax.process_index(), active_processes={jax.process_index()}
        )
        options = ocp.CheckpointManagerOptions(
            max_to_keep=keep,
            enable_async_checkpointing=False,
            create=False,
            multiprocessing_options=alone,
        )
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise RunError(f"{self.path} cannot be made: {error}.") from error
        self._manager = ocp.CheckpointManager(self.path, options=options)

    def iterations(self) -> list[int]:
        """What there is, oldest first."""
        return sorted(self._manager.all_steps())

    def save(self, iteration: int, state: Any) -> None:
        """Write a checkpoint; it appears whole or not at all.

        Raises:
            RunError: it could not be written (a full disk). Those before it are untouched.
        """
        try:
            # as NumPy: on however many devices a state lies, it can be read on any
            flat = jax.device_get(_flatten(state))
            self._manager.save(iteration, args=ocp.args.StandardSave(flat), force=True)
        except (OSError, ValueError) as error:
            raise RunError(
                f"Checkpoint {iteration} could not be written to {self.path}: {error}\n"
                f"Saved so far: {self.iterations() or 'none'}. Free some space or mend the "
                "permissions, then `opspo resume`."
            ) from error

    def restore(self, iteration: int, template: Any) -> Any:
        """The state of an iteration, in the template's structure (arrays or their shapes).

        Raises:
            RunError: it is missing, torn, or of another program or configuration.
        """
        self._check(iteration)
        try:
            flat = self._manager.restore(iteration, args=ocp.args.StandardRestore())
            return _unflatten(template, _of_today(flat))
        except Exception as error:  # Orbax and TensorStore raise many kinds
            raise self._unreadable(iteration, error) from error

    def restore_actor(self, iteration: int, template: Params) -> Params:
        """Only the actors' parameters of an iteration.

        Raises:
            RunError: as `restore`.
        """
        self._check(iteration)
        target = {
            f"actor.{name}": jax.ShapeDtypeStruct(x.shape, x.dtype)
            for name, x in _flatten(template).items()
        }
        arguments = ocp.args.PyTreeRestore(
            item=target,
            restore_args=ocp.checkpoint_utils.construct_restore_args(target),
            partial_restore=True,
        )
        try:
            with ocp.PyTreeCheckpointer() as reader:
                flat = reader.restore(self.path / str(iteration) / "default", args=arguments)
            return _unflatten({"actor": template}, flat)["actor"]
        except Exception as error:
            raise self._unreadable(iteration, error) from error

    def delete_after(self, iteration: int) -> None:
        """Remove checkpoints later than an iteration, to go on from there."""
        for later in self.iterations():
            if later > iteration:
                self._manager.delete(later)

    def close(self) -> None:
        """Release the folder."""
        self._manager.close()

    def _check(self, iteration: int) -> None:
        if iteration not in self.iterations():
            raise RunError(
                f"{self.path} has no checkpoint {iteration}. There are: "
                f"{self.iterations() or 'none'}."
            )

    def _unreadable(self, iteration: int, error: Exception) -> RunError:
        earlier = [i for i in self.iterations() if i < iteration]
        mend = (
            f"Use the one before it, with --checkpoint {earlier[-1]}: `opspo resume` goes on from "
            "there and drops what came after, `opspo eval` only plays it."
            if earlier
            else "There is none before it."
        )
        reason = str(error).strip().split("\n")[0][:300]
        return RunError(
            f"Checkpoint {iteration} in {self.path} cannot be read: it is torn, or was written "
            f"by another program or configuration ({type(error).__name__}: {reason}). {mend}"
        )
