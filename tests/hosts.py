"""A JAX probe played as an engine outside of JAX."""

import jax
import numpy as np

from opspo.environments import make_env


class OnHost:
    """The probe of that name as a `HostEnvironment`."""

    def __init__(self, name):
        self.inner = make_env(f"probe/{name}")
        self.spec = self.inner.spec
        self.opened = []

    def open(self, num_envs, seed):
        batch = Batch(self.inner, num_envs, seed)
        self.opened.append(batch)
        return batch


class Batch:
    def __init__(self, inner, num_envs, seed):
        self.num_envs, self.key = num_envs, jax.random.PRNGKey(seed)
        self._reset = jax.jit(jax.vmap(inner.reset))
        self._step = jax.jit(jax.vmap(inner.step))
        self.lost_episodes = 0
        self.closed = False

    def _keys(self):
        self.key, now = jax.random.split(self.key)
        return jax.random.split(now, self.num_envs)

    def reset(self):
        self.state, seen = jax.device_get(self._reset(self._keys()))
        return seen

    def step(self, action):
        assert isinstance(action, np.ndarray)
        state, step = jax.device_get(self._step(self._keys(), self.state, action))
        done = step.terminated | step.truncated
        fresh_state, fresh = jax.device_get(self._reset(self._keys()))

        def pick(new, old):
            return np.where(done.reshape(done.shape + (1,) * (old.ndim - 1)), new, old)

        self.state = jax.tree.map(pick, fresh_state, state)
        return step, jax.tree.map(pick, fresh, step.observation)

    def close(self):
        self.closed = True
