"""Saving and restoring the whole training state with Orbax: atomically, and without pickle."""

from __future__ import annotations

import logging
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import orbax.checkpoint as ocp

from opspo.config import TrainConfig, from_json, to_json
from opspo.config.changes import breaking, changes, shaping
from opspo.errors import ConfigError, RunError
from opspo.estimators.normalise import from_raw_moments
from opspo.types import Params

logging.getLogger("absl").setLevel(logging.ERROR)  # Orbax logs every save there

SETTINGS = "settings"
"""The key of the run's settings in a checkpoint's metadata."""


def flatten(tree: Any) -> dict[str, Any]:
    """A pytree as {path: array}, without empty arrays, which Orbax does not accept."""
    leaves = jax.tree_util.tree_flatten_with_path(tree)[0]
    return {
        jax.tree_util.keystr(path, simple=True, separator="."): leaf
        for path, leaf in leaves
        if leaf.size > 0
    }


def _of_today(flat: dict[str, Any]) -> dict[str, Any]:
    """Arrays that earlier versions wrote, under their current names."""
    names = [f"value_statistics.{name}" for name in ("mean", "mean_square", "weight")]
    if names[1] not in flat:
        return flat
    statistics = from_raw_moments(*(jnp.asarray(flat[name]) for name in names))
    kept = {name: x for name, x in flat.items() if name not in names}
    return kept | flatten({"value_statistics": statistics})


def _shapes(template: Any) -> dict[str, jax.ShapeDtypeStruct]:
    """A pytree as {path: shape}, like `flatten`."""
    flat = flatten(template)
    return {name: jax.ShapeDtypeStruct(x.shape, x.dtype) for name, x in flat.items()}


def unflatten(template: Any, flat: Mapping[str, Any]) -> Any:
    """The inverse of `flatten`, for the structure and shapes of a template.

    Raises:
        ValueError: an array has the wrong shape.
        KeyError: an array is missing.
    """

    def leaf(path: Any, like: Any) -> Any:
        if like.size == 0:
            return jnp.zeros(like.shape, like.dtype)
        name = jax.tree_util.keystr(path, simple=True, separator=".")
        saved = flat[name]
        if saved.shape != like.shape:  # Orbax does not check
            raise ValueError(f"{name} has shape {saved.shape}, but {like.shape} is expected")
        # Orbax commits arrays to a device; a fresh state's are uncommitted, so the iteration would
        # be compiled again
        return jnp.asarray(jax.device_get(saved))

    return jax.tree_util.tree_map_with_path(leaf, template)


class Checkpoints:
    """The checkpoints in a folder, numbered by iteration; saving keeps the latest `keep`.

    Each is saved with the settings `config`, and read only if the settings it was saved with are
    compatible with `config`.
    """

    def __init__(
        self, path: Path, *, keep: int | None = None, config: TrainConfig | None = None
    ) -> None:
        self.path = path.absolute()
        self._config = config
        # each process writes on its own: the state it is given is already complete
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
            raise RunError(f"{self.path} cannot be created: {error}.") from error
        self._manager = ocp.CheckpointManager(self.path, options=options)

    def iterations(self) -> list[int]:
        """The iterations with a checkpoint, oldest first."""
        return sorted(self._manager.all_steps())

    def check(self, iteration: int) -> None:
        """Check that there is a checkpoint of that iteration.

        Raises:
            RunError: there is none; the message lists those that exist.
        """
        if iteration not in self.iterations():
            raise RunError(
                f"{self.path} has no checkpoint {iteration}. There are: "
                f"{self.iterations() or 'none'}."
            )

    def save(self, iteration: int, state: Any) -> None:
        """Write a checkpoint; it appears complete or not at all.

        Raises:
            RunError: it could not be written, for instance because the disk is full. Earlier ones
                are untouched.
        """
        try:
            # as NumPy: however many devices a state was on, it can be read on any number
            flat = jax.device_get(flatten(state))
            settings = {SETTINGS: to_json(self._config)} if self._config else None
            self._manager.save(
                iteration,
                args=ocp.args.StandardSave(flat),
                force=True,
                custom_metadata=settings,
            )
        except (OSError, ValueError) as error:
            raise RunError(
                f"Checkpoint {iteration} could not be written to {self.path}: {error}\n"
                f"Saved so far: {self.iterations() or 'none'}. Free some space or fix the "
                "permissions, then `opspo resume`."
            ) from error

    def restore(self, iteration: int, template: Any) -> Any:
        """The state of an iteration, in the structure of a template (arrays or their shapes).

        Raises:
            RunError: it is missing or damaged, or no longer fits because settings have changed.
        """
        target = _shapes(template)
        self.check(iteration)
        self._check_settings(iteration)
        self._check_arrays(iteration, target, whole=True)
        try:
            flat = self._manager.restore(iteration, args=ocp.args.StandardRestore())
            return unflatten(template, _of_today(flat))
        except Exception as error:  # Orbax and TensorStore raise many kinds
            raise self._unreadable(iteration, error) from error

    def restore_actor(self, iteration: int, template: Params) -> Params:
        """Only the actors' parameters of an iteration.

        Raises:
            RunError: as for `restore`, but only the settings of the policy matter.
        """
        target = _shapes({"actor": template})
        self.check(iteration)
        self._check_settings(iteration, policy_alone=True)
        self._check_arrays(iteration, target)
        try:
            return unflatten({"actor": template}, self._read(iteration, target))["actor"]
        except Exception as error:
            raise self._unreadable(iteration, error) from error

    def arrays(self, iteration: int, parts: tuple[str, ...]) -> dict[str, np.ndarray]:
        """Some parts of an iteration's state, such as `actor`, as {path: array}, unchecked.

        Raises:
            RunError: it is missing or damaged.
        """
        self.check(iteration)
        try:
            stored = self._stored(iteration)
            target = {name: x for name, x in stored.items() if name.split(".")[0] in parts}
            found = _of_today(self._read(iteration, target))
            return {name: np.asarray(x) for name, x in found.items()}
        except Exception as error:
            raise self._unreadable(iteration, error) from error

    def written_with(self, iteration: int) -> TrainConfig | None:
        """The settings that an iteration was saved with; None if the checkpoint has none."""
        try:
            text = self._manager.metadata(iteration).custom_metadata.get(SETTINGS)
            return from_json(text) if text else None
        except (ConfigError, AttributeError, OSError, ValueError):
            return None

    def delete_after(self, iteration: int) -> None:
        """Delete the checkpoints after an iteration, to continue from there."""
        for later in self.iterations():
            if later > iteration:
                self._manager.delete(later)

    def close(self) -> None:
        """Release the folder."""
        self._manager.close()

    def _read(self, iteration: int, target: Mapping[str, Any]) -> dict[str, Any]:
        """The arrays of an iteration that are in `target`; others are not read."""
        arguments = ocp.args.PyTreeRestore(
            item=target,
            restore_args=ocp.checkpoint_utils.construct_restore_args(target),
            partial_restore=True,
        )
        with ocp.PyTreeCheckpointer() as reader:
            return dict(reader.restore(self.path / str(iteration) / "default", args=arguments))

    def _stored(self, iteration: int) -> dict[str, jax.ShapeDtypeStruct]:
        """The shapes of an iteration's arrays, as {path: shape}."""
        with ocp.PyTreeCheckpointer() as reader:
            found = reader.metadata(self.path / str(iteration) / "default").item_metadata
        return {name: jax.ShapeDtypeStruct(x.shape, x.dtype) for name, x in found.tree.items()}

    def _check_settings(self, iteration: int, *, policy_alone: bool = False) -> None:
        """Raise if settings that the state depends on have changed."""
        was = self.written_with(iteration)
        if was is None or self._config is None:
            return
        broken = breaking(changes(was, self._config), policy_alone=policy_alone)
        if broken:
            listed = "; ".join(
                change.said(f"when checkpoint {iteration} was written") for change in broken
            )
            raise RunError(f"{self._run / 'config.json'} was changed: {listed}. {self._what_to_do}")

    def _check_arrays(
        self, iteration: int, target: Mapping[str, Any], *, whole: bool = False
    ) -> None:
        """Raise if arrays in `target` are missing or do not fit, or (`whole`) there are others."""
        try:
            stored = jax.eval_shape(_of_today, self._stored(iteration))
        except Exception:  # damaged: reading it will report that
            return
        wrong = [
            f"{name} has shape {list(stored[name].shape)}, but {list(x.shape)} is expected"
            if name in stored
            else f"{name} is missing"
            for name, x in target.items()
            if name not in stored or stored[name].shape != x.shape
        ]
        if whole:
            wrong += [f"{name} is not expected" for name in stored if name not in target]
        if not wrong:
            return
        more = f" (and {len(wrong) - 1} more)" if len(wrong) > 1 else ""
        raise RunError(
            f"Checkpoint {iteration} in {self.path} does not fit: {wrong[0]}{more}. "
            f"{self._why(iteration)} {self._what_to_do}"
        )

    def _why(self, iteration: int) -> str:
        was = self.written_with(iteration)
        if was is None or self._config is None:
            return "It does not record its settings, which must have been different."
        found = shaping(changes(was, self._config))
        if not found:
            return "Its settings are the same: the environment or the program was different."
        return "; ".join(change.said("when it was written") for change in found) + "."

    @property
    def _run(self) -> Path:
        return self.path.parent

    @property
    def _what_to_do(self) -> str:
        return (
            "Restore what has changed, or start a new run from its parameters with `opspo train "
            f"--init-from {shlex.quote(str(self._run))}`."
        )

    def _unreadable(self, iteration: int, error: Exception) -> RunError:
        earlier = [i for i in self.iterations() if i < iteration]
        fix = (
            f"Use the one before it, with --checkpoint {earlier[-1]}: `opspo resume` continues "
            "from there and drops what came after, `opspo eval` only plays it."
            if earlier
            else "There is none before it."
        )
        reason = str(error).strip().split("\n")[0][:300]
        return RunError(
            f"Checkpoint {iteration} in {self.path} cannot be read: it is damaged, or was written "
            f"by another program ({type(error).__name__}: {reason}). {fix}"
        )
