"""A JAX probe played as an engine outside of JAX."""

from functools import cache

import jax
import jax.numpy as jnp
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


@cache
def functions(inner, num_envs):
    """Reset and step of all environments; each hands on the key as well."""

    def keys(key):
        key, now = jax.random.split(key)
        return key, jax.random.split(now, num_envs)

    @jax.jit
    def reset(key):
        key, now = keys(key)
        return key, *jax.vmap(inner.reset)(now)

    @jax.jit
    def step(key, state, action):
        key, now = keys(key)
        state, step = jax.vmap(inner.step)(now, state, action)
        key, *fresh = reset(key)
        done = step.terminated | step.truncated

        def pick(new, old):
            return jnp.where(done.reshape(done.shape + (1,) * (old.ndim - 1)), new, old)

        return key, step, *jax.tree.map(pick, tuple(fresh), (state, step.observation))

    return reset, step


class Batch:
    def __init__(self, inner, num_envs, seed):
        self.num_envs, self.key = num_envs, jax.random.PRNGKey(seed)
        self._reset, self._step = functions(inner, num_envs)
        self.lost_episodes = 0
        self.closed = False

    def reset(self):
        self.key, self.state, seen = jax.device_get(self._reset(self.key))
        return seen

    def step(self, action):
        assert isinstance(action, np.ndarray)
        found = jax.device_get(self._step(self.key, self.state, action))
        self.key, step, self.state, seen = found
        return step, seen

    def close(self):
        self.closed = True
