"""SMAX, StarCraft micromanagement in JAX (JaxMARL), against its heuristic enemy.

Unlike JaxMARL's `step`, this keeps the true last observation, tells a win from any other end, and
tells the time limit (`truncated`) from a decided battle (`terminated`).
"""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

import jax.numpy as jnp

from opspo.environments.quiet import silenced

with silenced():
    from jaxmarl.environments.smax import HeuristicEnemySMAX, Scenario, map_name_to_scenario

from opspo.environments.base import EnvironmentSpec, Observation, Step
from opspo.environments.medivac import MedivacEnemySMAX
from opspo.types import Array

# The longest weapon cooldown in seconds. JaxMARL lets cooldowns run below zero while a weapon
# rests, to about -50; all that matters is whether it may fire.
_LONGEST_COOLDOWN = 1.87

# The engine's numbers for the unit types, and ours.
_MARINE, _MARAUDER, _ZEALOT, _ZERGLING, _MEDIVAC = 0, 1, 3, 4, 6
# SMAC's maps that JaxMARL lacks: allies and enemies. They are passed to the engine rather than
# registered with it, so its own list does not change.
_MORE_MAPS = {
    "8m_vs_9m": ([_MARINE] * 8, [_MARINE] * 9),
    "corridor": ([_ZEALOT] * 6, [_ZERGLING] * 24),
    "MMM2": (
        [_MARAUDER] * 2 + [_MARINE] * 7 + [_MEDIVAC],
        [_MARAUDER] * 3 + [_MARINE] * 8 + [_MEDIVAC],
    ),
}


def _make_engine(map_name: str) -> HeuristicEnemySMAX:
    """JaxMARL's engine for a map, or ours if there are medivacs."""
    if map_name not in _MORE_MAPS:
        return HeuristicEnemySMAX(scenario=map_name_to_scenario(map_name))
    allies, enemies = _MORE_MAPS[map_name]
    types = jnp.array(allies + enemies, jnp.uint8)
    scenario = Scenario(types, len(allies), len(enemies), False, False)
    if _MEDIVAC in allies + enemies:
        return MedivacEnemySMAX(scenario)
    return HeuristicEnemySMAX(scenario=scenario)


class SMAX:
    """One map, as a `JaxEnvironment`.

    The reward is the fraction of the enemies' health lost in the step, plus 1 for a win.
    """

    def __init__(self, map_name: str) -> None:
        self._env = _make_engine(map_name)
        engine = self._env._env
        self._num_units: int = engine.num_allies + engine.num_enemies
        self._own_size = len(engine.own_features)
        self._extent = jnp.array([engine.map_width, engine.map_height], jnp.float32)
        self.spec = EnvironmentSpec(
            name=f"smax/{map_name}",
            num_agents=engine.num_allies,
            observation_size=engine.obs_size,
            state_size=self._num_units * (self._own_size + 2),
            num_actions=engine.num_ally_actions,
            agents=tuple(self._env.agents),
            episode_limit=engine.max_steps + 1,  # it checks the count before incrementing
            has_win=True,
            engine=f"jaxmarl {version('jaxmarl')}",
        )

    def reset(self, key: Array) -> tuple[Any, Observation]:
        """Place both armies; return the state and the first observation."""
        obs, state = self._env.reset(key)
        return state, self._observe(obs, state)

    def step(self, key: Array, state: Any, action: Array) -> tuple[Any, Step]:
        """Eight world steps under the allies' actions, int [N], and the heuristic enemy's."""
        actions = {agent: action[i] for i, agent in enumerate(self._env.agents)}
        obs, state, reward, done, _ = self._env.step_env(key, state, actions)
        num_allies = self.spec.num_agents
        fighting = self._fighting(state.state)
        allies_left, enemies_left = fighting[:num_allies].any(), fighting[num_allies:].any()
        terminated = ~(allies_left & enemies_left)
        return state, Step(
            observation=self._observe(obs, state),
            reward=reward[self._env.agents[0]].astype(jnp.float32),
            terminated=terminated,
            truncated=done["__all__"] & ~terminated,
            win=allies_left & ~enemies_left,
        )

    def _fighting(self, units: Any) -> Array:
        """[units] bool, alive and not a medivac: medivacs alone cannot win a battle."""
        if isinstance(self._env, MedivacEnemySMAX):
            return self._env.fighting(units)
        return units.unit_alive

    def _observe(self, obs: dict[str, Array], state: Any) -> Observation:
        available = self._env.get_avail_actions(state)
        return Observation(
            observation=jnp.stack([obs[agent] for agent in self._env.agents]),
            state=self._normalised_state(obs["world_state"]),
            available_actions=jnp.stack([available[a] for a in self._env.agents]) > 0,
            alive=state.state.unit_alive[: self.spec.num_agents],
        )

    def _normalised_state(self, world_state: Array) -> Array:
        """The engine's state [s] with every feature scaled to [-1, 1], in the same order.

        Each unit has its health (a fraction), position in map units, seconds until its weapon may
        fire, and one-hot type; then come the teams and the types of all units.
        """
        split = self._num_units * self._own_size
        unit = world_state[:split].reshape(self._num_units, self._own_size)
        # a unit pushed over the edge stays outside until the next world step kills it
        position = jnp.clip(unit[:, 1:3] / self._extent, 0, 1)
        cooldown = jnp.clip(unit[:, 3:4] / _LONGEST_COOLDOWN, -1, 1)
        unit = jnp.concatenate([unit[:, :1], position, cooldown, unit[:, 4:]], axis=1)
        team, unit_type = jnp.split(world_state[split:], 2)
        num_types = self._own_size - 4
        return jnp.concatenate([unit.reshape(-1), team, unit_type / num_types])
