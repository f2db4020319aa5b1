"""A small battle with the API of SMAC's `StarCraft2Env`, and with that of SMAClite."""

from pathlib import Path

import numpy as np

AGENTS, ENEMIES, ACTIONS = 3, 2, 8  # dead, stop, four moves, two targets
STOP, SHOOT = 1, 6


class Field:
    """Three against two. A shot takes 1 health; the enemies shoot the first who lives."""

    def __init__(self, seed, *, peaceful=False):
        self.seed, self.peaceful, self.battles = seed, peaceful, 0

    def start(self):
        rng = np.random.default_rng([self.seed, self.battles])
        self.battles += 1
        self.allies, self.enemies = np.full(AGENTS, 2), rng.integers(2, 4, ENEMIES)

    def fight(self, actions):
        assert all(type(action) is int for action in actions)
        for action, mask in zip(actions, self.available(), strict=True):
            assert mask[action] == 1
        before = self.enemies.sum()
        for action in actions:
            if action >= SHOOT:
                self.enemies[action - SHOOT] = max(0, self.enemies[action - SHOOT] - 1)
        living = np.flatnonzero(self.allies)
        if not self.peaceful and self.enemies.any() and len(living):
            self.allies[living[0]] -= 1
        return float(before - self.enemies.sum()) + 10 * (not self.enemies.any())

    def over(self):
        return not self.enemies.any() or not self.allies.any()

    def available(self):
        masks = np.zeros((AGENTS, ACTIONS), int)
        for mask, health in zip(masks, self.allies, strict=True):
            mask[0 if health == 0 else slice(1, SHOOT)] = 1
            mask[SHOOT:] = (self.enemies > 0) * (health > 0)
        return masks.tolist()

    def look(self):
        # the dead are not blank: SMAC's engines leave a clock in their observations, if asked to
        return [np.array([health, *self.enemies, 1.0]) for health in self.allies]

    def whole(self):
        return np.array([*self.allies, *self.enemies], np.float32)


class StarCraft2Env:
    """SMAC's API, with its awkward sides."""

    closed = 0

    def __init__(self, seed=0, *, limit=6, ends_at_limit=True, crash_at=0, marker="", **field):
        self.field, self.limit, self.ends_at_limit = Field(seed, **field), limit, ends_at_limit
        self.crash_at, self.marker = crash_at, Path(marker)

    def get_env_info(self):
        return {
            "n_agents": AGENTS,
            "n_actions": ACTIONS,
            "obs_shape": 4,
            "state_shape": AGENTS + ENEMIES,
            "episode_limit": self.limit,
        }

    def reset(self):
        self.t = 0
        self.field.start()  # and SMACv2's may return nothing

    def step(self, actions):
        self.t += 1
        if self.t == self.crash_at and not (self.marker.name and self.marker.exists()):
            if self.marker.name:
                self.marker.touch()
            return 0, True, {}
        reward, over = self.field.fight(actions), self.field.over()
        info = {
            "battle_won": not self.field.enemies.any(),
            "dead_allies": int((self.field.allies == 0).sum()),
            "dead_enemies": int((self.field.enemies == 0).sum()),
        }
        return reward, over or (self.ends_at_limit and self.t >= self.limit), info

    def get_obs(self):
        return self.field.look()

    def get_state(self):
        return self.field.whole()

    def get_avail_actions(self):
        return self.field.available()

    def close(self):
        type(self).closed += 1


class Lite:
    """SMAClite's API: a Gymnasium environment that says little and has no limit."""

    n_agents, n_enemies, n_actions, obs_size, state_size = AGENTS, ENEMIES, ACTIONS, 4, 5

    def __init__(self, seed=0, **field):
        self.field = Field(seed, **field)

    @property
    def unwrapped(self):
        return self

    @property
    def agents(self):
        return {int(i): ... for i in np.flatnonzero(self.field.allies)}

    @property
    def enemies(self):
        return {int(i): ... for i in np.flatnonzero(self.field.enemies)}

    def reset(self, seed=None, options=None):
        self.field.start()
        return tuple(self.field.look()), {"battle_won": False}

    def step(self, actions):
        reward = self.field.fight(actions)
        info = {"battle_won": not self.enemies}
        return self.get_obs(), reward, self.field.over(), False, info

    def get_obs(self):
        return tuple(self.field.look())

    def get_state(self):
        return self.field.whole()

    def get_avail_actions(self):
        return [np.array(mask, float) for mask in self.field.available()]

    def close(self):
        pass
