"""SMAX with a medivac, which JaxMARL lacks, and a scripted enemy that flies one.

A medivac heals instead of shooting: its attack actions target its own team's ground units, as in
SMAC. It flies: it neither pushes nor is pushed, and only some weapons can hit it. A side with
nothing but medivacs left has lost.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxmarl.environments.smax import SMAX, HeuristicEnemySMAX
from jaxmarl.environments.smax.heuristic_enemy import create_heuristic_policy

from opspo.types import Array

# StarCraft II: Legacy of the Void, in seconds at game speed "faster", as are the engine's numbers
# for the marine (Liquipedia, "Medivac (Legacy of the Void)": 150 health, speed 3.5, sight 11,
# 12.6 health a second; StarCraft Wiki, "Heal": range 4).
HEALING_PER_SECOND = 12.6
_STATISTICS = {
    "unit_type_velocities": 3.5,
    "unit_type_attacks": 0.0,
    "unit_type_attack_ranges": 4.0,
    "unit_type_sight_ranges": 11.0,
    "unit_type_radiuses": 0.75,
    "unit_type_health": 150.0,
    "unit_type_weapon_cooldowns": 1.0,  # only divides a feature that stays 0: it has no weapon
}
_HITS_AIR = ("marine", "stalker", "hydralisk")


def _unit_types() -> dict[str, Any]:
    """The engine's unit types, followed by the medivac."""
    plain = SMAX()
    numbers = {name: jnp.append(getattr(plain, name), new) for name, new in _STATISTICS.items()}
    return numbers | {
        "unit_type_names": [*plain.unit_type_names, "medivac"],
        "unit_type_shorthands": [*plain.unit_type_shorthands, "v"],
    }


class MedivacSMAX(SMAX):
    """The engine with a seventh unit type.

    Allies come first, then enemies, as in the engine; n is the number of units on both sides.
    """

    def __init__(self, scenario: Any) -> None:
        super().__init__(scenario=scenario, **_unit_types())
        self.hits_air = jnp.array([name in _HITS_AIR for name in self.unit_type_names])
        # a medivac targets its own team, which may be the larger one
        self.num_slots = max(self.num_allies, self.num_enemies)
        self.num_ally_actions = self.num_enemy_actions = self.num_movement_actions + self.num_slots
        self.action_spaces = {
            agent: self._get_individual_action_space(i) for i, agent in enumerate(self.agents)
        }
        self._addressed = self._addresses()

    def _addresses(self) -> Array:
        """[team, is a medivac, slot] the unit that an attack action targets, or −1.

        Each team numbers units in the order in which it sees them; the enemies' order is reversed.
        """
        units = np.arange(self.num_agents)
        allies, enemies = units[: self.num_allies], units[self.num_allies :]
        means = np.full((2, 2, self.num_slots), -1)
        for team, own, other in ((0, allies, enemies), (1, enemies[::-1], allies[::-1])):
            means[team, 0, : len(other)] = other
            means[team, 1, : len(own)] = own
        return jnp.asarray(means)

    def is_medivac(self, state: Any) -> Array:
        """Which units are medivacs, [n] bool."""
        return state.unit_types == self.unit_type_names.index("medivac")

    def fighting(self, state: Any) -> Array:
        """Which units are alive and able to win a battle, [n] bool."""
        return state.unit_alive & ~self.is_medivac(state)

    def _meant(self, state: Any) -> Array:
        """[n, slot] the target of each unit's attack actions: a unit, or −1."""
        return self._addressed[self.teams, self.is_medivac(state).astype(jnp.int32)]

    def _reach(self, state: Any) -> Array:
        """[n, slot] bool, whether the unit can now shoot or heal the action's target."""
        meant = self._meant(state)
        unit = jnp.arange(self.num_agents)[:, None]
        away = state.unit_positions[unit] - state.unit_positions[meant]
        attack_range = self.unit_type_attack_ranges[state.unit_types][:, None]
        flies = self.is_medivac(state)
        reaches_air = self.hits_air[state.unit_types][:, None]
        return (
            (meant >= 0)
            & (jnp.linalg.norm(away, axis=-1) < attack_range)
            & state.unit_alive[unit]
            & state.unit_alive[meant]
            & (~flies[meant] | reaches_air)  # no medivac heals another, nor itself
        )

    def get_avail_actions(self, state: Any) -> dict[str, Array]:
        """Action masks, {agent: [A] uint8}.

        Living units can move, every unit can stop, and shooting or healing needs a target in reach.
        """
        move = jnp.repeat(state.unit_alive[:, None], self.num_movement_actions - 1, axis=1)
        stop = jnp.ones((self.num_agents, 1), bool)
        mask = jnp.concatenate([move, stop, self._reach(state)], axis=1).astype(jnp.uint8)
        return {agent: mask[i] for agent, i in self.agent_ids.items()}

    def _world_step(self, key: Array, state: Any, actions: tuple[Array, Array]) -> Any:
        """The engine's step with only the shots that reach their target, then healing."""
        moves, attacks = actions
        unit = jnp.arange(self.num_agents)
        slot = jnp.maximum(attacks - self.num_movement_actions, 0)
        reaches = (attacks >= self.num_movement_actions) & self._reach(state)[unit, slot]
        medivac = self.is_medivac(state)
        shots = jnp.where(reaches & ~medivac, attacks, 0)
        after = super()._world_step(key, state, (moves, shots))
        dose = jnp.where(reaches & medivac, HEALING_PER_SECOND * self.time_per_step, 0.0)
        # the largest dose, not the sum: in StarCraft II healing does not stack
        dose = jnp.zeros(self.num_agents).at[self._meant(state)[unit, slot]].max(dose)
        full = self.unit_type_health[state.unit_types]
        health = jnp.minimum(after.unit_health + dose, full)
        # a unit that a shot has just killed stays dead
        return after.replace(unit_health=jnp.where(after.unit_health > 0, health, 0.0))

    def _push_units_away(self, state: Any, firmness: float = 1.0) -> Any:
        """Ground units push each other apart. The engine exempts the dead; here flyers too."""
        pushed = super()._push_units_away(
            state.replace(unit_alive=self.fighting(state)), firmness=firmness
        )
        return state.replace(unit_positions=pushed.unit_positions)

    def compute_reward(
        self, state: Any, health_before: Array, health_after: Array
    ) -> dict[str, Array]:
        """Each side's reward: the opponents' net health loss, plus the bonus for a win.

        Healing is subtracted. Rewarding damage alone would pay twice for health that was restored.

        Args:
            state: the engine's.
            health_before: [n] before the step.
            health_after: [n] after it.

        Returns:
            {agent: []}.
        """
        lost = (health_before - health_after) / self.unit_type_health[state.unit_types]
        fighting = self.fighting(state)
        allies, enemies = slice(self.num_allies), slice(self.num_allies, None)

        def reward(own: slice, other: slice) -> Array:
            won = fighting[own].any() & ~fighting[other].any()
            return lost[other].mean() + jnp.where(won, self.won_battle_bonus, 0.0)

        both = (reward(allies, enemies), reward(enemies, allies))
        return {agent: both[i >= self.num_allies] for agent, i in self.agent_ids.items()}

    def is_terminal(self, state: Any) -> Array:
        """Whether one side can no longer fight, or time is up, [] bool."""
        fighting = self.fighting(state)
        both = fighting[: self.num_allies].any() & fighting[self.num_allies :].any()
        return ~both | (state.step >= self.max_steps)


class MedivacEnemySMAX(HeuristicEnemySMAX):
    """`MedivacSMAX` against JaxMARL's scripted enemy, whose medivacs heal."""

    def __init__(self, scenario: Any) -> None:
        super().__init__(scenario=scenario, **_unit_types())
        # JaxMARL always builds a plain SMAX: ours, with the same units, replaces it
        self._env = MedivacSMAX(scenario)
        self.action_spaces = {agent: self._env.action_spaces[agent] for agent in self.agents}
        self.heuristic_policy = create_heuristic_policy(self._env, 1)

    def get_enemy_actions(
        self, key: Array, policy_state: Any, enemy_obs: Array
    ) -> tuple[dict[str, Array], Any]:
        """Enemy actions, {agent: [] int}: JaxMARL's script for units that shoot, ours for medivacs.

        Args:
            key: for the script.
            policy_state: the script's.
            enemy_obs: [enemies, d].

        Returns:
            The actions, and the script's next state.
        """
        own = len(self._env.own_features)
        others = enemy_obs[:, :-own].reshape(self.num_enemies, -1, len(self._env.unit_features))
        types = enemy_obs[:, -self._env.unit_type_bits :]
        # units that cannot hit a medivac must not see one: the script would aim at it for ever
        blind = ~(types @ self._env.hits_air > 0)
        hidden = blind[:, None] & (others[..., -1] > 0)  # the last type bit
        targets = jnp.where(hidden[..., None], 0.0, others).reshape(self.num_enemies, -1)
        shoot, policy_state = super().get_enemy_actions(
            key, policy_state, jnp.concatenate([targets, enemy_obs[:, -own:]], axis=1)
        )
        heal = jax.vmap(self._heal_or_follow)(jnp.arange(self.num_enemies), others)
        medivac = types[:, -1] > 0
        actions = {
            agent: jnp.where(medivac[i], heal[i], shoot[agent])
            for i, agent in enumerate(self.enemy_agents)
        }
        return actions, policy_state

    def _heal_or_follow(self, index: Array, others: Array) -> Array:
        """The action of enemy `index`, a medivac that sees `others` [n − 1, features].

        It heals the most badly hurt unit in reach. If none is, it flies to the most badly hurt one
        in sight, or to the middle of its army.
        """
        medivac = self._env.unit_type_names.index("medivac")
        reach = self._env.unit_type_attack_ranges[medivac]
        mates = others[: self.num_enemies - 1]
        health = mates[:, 0]
        offset = mates[:, 1:3] * self._env.unit_type_sight_ranges[medivac]
        ground = (health > 0) & (mates[:, -1] == 0)
        hurt = ground & (health < 1)
        near = hurt & (jnp.linalg.norm(offset, axis=-1) < reach)

        patient = jnp.argmin(jnp.where(near, health, jnp.inf))
        # slots count the medivac itself; its observation does not
        slot = patient + (patient >= self.num_enemies - 1 - index)

        worst = offset[jnp.argmin(jnp.where(hurt, health, jnp.inf))]
        middle = (offset * ground[:, None]).sum(axis=0) / jnp.maximum(ground.sum(), 1)
        goal = jnp.where(hurt.any(), worst, middle)
        stop = self._env.num_movement_actions - 1
        move = jnp.argmax(jnp.array([[0, 1], [1, 0], [0, -1], [-1, 0]]) @ goal)
        move = jnp.where(jnp.linalg.norm(goal) < reach / 2, stop, move)
        return jnp.where(near.any(), stop + 1 + slot, move)
