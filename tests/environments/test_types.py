"""An environment may start from Python's numbers, and its step is still compiled once."""

import jax
import jax.numpy as jnp
import numpy as np
from small import small_config

from opspo.environments.base import EnvironmentSpec, Observation, Step
from opspo.environments.checks.compiled import Compiled
from opspo.policies.team import make_team
from opspo.rollout.scan import act, advance, begin


class FromNumbers:
    spec = EnvironmentSpec("numbers", 2, 4, 4, num_actions=2, episode_limit=5)

    def reset(self, key):
        state = {"t": 0, "place": 0.0}
        return state, self.observe(state)

    def step(self, key, state, action):
        state = {"t": state["t"] + 1, "place": state["place"] + action.sum().astype(jnp.float32)}
        no = jnp.array(False)
        return state, Step(self.observe(state), state["place"], no, state["t"] == 5, no)

    def observe(self, state):
        seen = jnp.full(4, state["place"], jnp.float32)
        every = jnp.ones((2, 2), bool)
        return Observation(jnp.tile(seen, (2, 1)), seen, every, jnp.ones(2, bool))


def test_in_the_rollout():
    environment = FromNumbers()
    team = make_team(small_config("own").policy, environment.spec)
    params = team.init(jax.random.PRNGKey(0))

    @jax.jit
    def step(state, key):
        action, _, memory = act(team, params, state, key)
        return advance(environment, state, action, memory, key)[0]

    state = begin(environment, team, 3, jax.random.PRNGKey(1))
    for t in range(3):
        state = step(state, jax.random.PRNGKey(t))
    assert step._cache_size() == 1


def test_in_the_check():
    compiled = Compiled(FromNumbers())
    batch = compiled.open(3, 0)
    batch.reset()
    for _ in range(3):
        batch.step(np.zeros((3, 2), np.int32))
    assert compiled.step._cache_size() == 1
