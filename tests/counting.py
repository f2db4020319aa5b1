"""An environment that counts its steps, in JAX or outside of it, in whatever dtypes."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from small import small_config

from opspo.config import EvaluationConfig
from opspo.environments.base import EnvironmentSpec, Observation, Step
from opspo.training.assembly import make_learner
from opspo.training.iteration import ready

LIMIT = 5


class Counting:
    """Five steps that each pay; everything in the dtypes that it is told to use. In JAX."""

    def __init__(self, *, seen=jnp.int8, reward=jnp.bool_, episode_limit=LIMIT, ends=True, xp=jnp):
        self.seen, self.reward, self.ends, self.xp = seen, reward, ends, xp
        self.spec = EnvironmentSpec(
            "counting",
            num_agents=2,
            observation_size=4,
            state_size=4,
            num_actions=2,
            episode_limit=episode_limit,
            outcomes=("steps",),
        )

    def reset(self, key):
        return jnp.array(0), self.observe(jnp.array(0))

    def step(self, key, state, action):
        t = state + 1
        end = jnp.array(self.ends) & (t == LIMIT)
        pay = jnp.ones((), self.reward)
        return t, Step(
            # both flags, as some engines say it
            self.observe(t), pay, end, end, jnp.array(False), outcome={"steps": t}
        )  # fmt: skip

    def observe(self, t):
        return Observation(
            observation=jnp.full((2, 4), t, self.seen),
            state=jnp.full(4, t, self.seen),
            available_actions=jnp.ones((2, 2), bool),
            alive=jnp.ones(2, bool),
        )


class OnHost:
    """The same outside of JAX. `raises` are the calls at which it raises: (method, how often)."""

    def __init__(self, inner, raises=None):
        self.inner, self.spec = inner, inner.spec
        self.observe = jax.jit(jax.vmap(inner.observe))
        self.step = jax.jit(jax.vmap(lambda state: inner.step(None, state, None)[1]))
        self.raises = dict(raises or {})

    def count(self, call):
        left = self.raises.get(call)
        if left is not None:
            self.raises[call] = left - 1
            if left == 0:
                del self.raises[call]
                raise ZeroDivisionError(f"the author's fault at {call}")

    def open(self, num_envs, seed):
        self.count("open")
        return OnHostBatch(self, num_envs)


class OnHostBatch:
    lost_episodes = 0

    def __init__(self, environment, num_envs):
        self.environment = environment
        self.state = np.zeros(num_envs, int)

    def observe(self):
        return jax.tree.map(np.asarray, self.environment.observe(self.state))

    def reset(self):
        self.environment.count("reset")
        self.state[:] = 0
        return self.observe()

    def step(self, action):
        self.environment.count("step")
        step = jax.tree.map(np.asarray, self.environment.step(self.state))
        self.state += 1
        self.state[step.terminated] = 0
        return step, self.observe()

    def close(self):
        self.environment.count("close")


def make(where, **arguments):
    inner = Counting(**arguments)
    return inner if where == "jax" else OnHost(inner)


where = pytest.mark.parametrize("where", ["jax", "host"])


def iterate(environment, config, iterations=1):
    learner = make_learner(config, environment)
    state = jax.jit(learner.init)(0)
    with ready(learner, state) as (now, go):
        for _ in range(iterations):
            now, metrics = go(now)  # noqa: PLW2901
    assert not any(jax.device_get(metrics["faults"]).values())
    return jax.device_get(metrics)


def config_of(tmp_path, **evaluation):
    config = small_config("own", "mappo", epochs=1)
    return dataclasses.replace(
        config,
        run_dir=str(tmp_path / "run"),
        evaluation=EvaluationConfig(**{"every_steps": 0, "final_episodes": 2} | evaluation),
    )
