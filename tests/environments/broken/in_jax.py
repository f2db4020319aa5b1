"""JAX environments."""

from __future__ import annotations

import dataclasses
import random
import time

import jax
import jax.numpy as jnp
import numpy as np

from broken import Case
from opspo.environments.base import EnvironmentSpec, Observation, Step

SPEC = EnvironmentSpec(
    "walk",
    num_agents=2,
    observation_size=3,
    state_size=4,
    num_actions=3,
    agents=("scout", "carrier"),
    episode_limit=6,
)


class Sound:
    """Two agents on a line; nothing is wrong with it. The broken ones change one thing."""

    spec = SPEC

    def reset(self, key):
        state = {"place": jax.random.normal(key, (2,)), "t": jnp.array(0)}
        return state, self.observe(state)

    def step(self, key, state, action):
        state = self.move(state, action)
        return state, self.answer(state)

    def move(self, state, action):
        return {"place": state["place"] + action - 1, "t": state["t"] + 1}

    def observe(self, state):
        place = state["place"]
        return Observation(
            observation=jnp.stack([place, place[::-1], jnp.full(2, state["t"] / 6)], 1),
            state=jnp.concatenate([place, jnp.full(2, state["t"] / 6)]),
            available_actions=jnp.ones((2, 3), bool),
            alive=jnp.ones(2, bool),
        )

    def answer(self, state):
        no = jnp.array(False)
        return Step(self.observe(state), -jnp.abs(state["place"]).sum(), no, state["t"] == 6, no)


def seeing(change):
    """`Sound` with observations changed by a function of them and of the state."""

    class Broken(Sound):
        def observe(self, state):
            seen = super().observe(state)
            return seen.replace(**change(seen, state))

    return Broken


def answering(change, **spec):
    """`Sound` with steps changed by a function of them and of the state."""

    class Broken(Sound):
        def answer(self, state):
            step = super().answer(state)
            return step.replace(**change(step, state))

    Broken.spec = dataclasses.replace(SPEC, **spec)
    return Broken


def specified(**spec):
    class Broken(Sound):
        pass

    Broken.spec = dataclasses.replace(SPEC, **spec)
    return Broken


class Continuous(Sound):
    spec = dataclasses.replace(SPEC, num_actions=0, action_size=2)

    def move(self, state, action):
        return super().move(state, action.sum(-1))


class SoundContinuous(Continuous):
    def observe(self, state):
        return super().observe(state).replace(available_actions=None)


class SoundDecisions(Sound):
    """Two decisions of three choices each at every step."""

    spec = dataclasses.replace(SPEC, action_size=2)

    def move(self, state, action):
        return super().move(state, action.sum(-1) / 2)

    def observe(self, state):
        return super().observe(state).replace(available_actions=jnp.ones((2, 2, 3), bool))


def deciding(**spec):
    class Broken(SoundDecisions):
        pass

    Broken.spec = dataclasses.replace(SoundDecisions.spec, **spec)
    return Broken


class Lives(Sound):
    """The carrier is alive or not, as a function of the clock says; the dead see nothing."""

    def lives(self, t):
        return t < 3

    def observe(self, state):
        seen = super().observe(state)
        alive = jnp.array([True, False]) | self.lives(state["t"])
        return seen.replace(alive=alive, observation=seen.observation * alive[:, None])


class BackToLife(Lives):
    def lives(self, t):
        return t != 3


class DeadWithoutActions(Lives):
    def observe(self, state):
        seen = super().observe(state)
        return seen.replace(available_actions=jnp.broadcast_to(seen.alive[:, None], (2, 3)))


class DeadThatSee(Lives):
    def observe(self, state):
        return super().observe(state).replace(observation=Sound().observe(state).observation)


class PythonIf(Sound):
    def move(self, state, action):
        if state["t"] > 3:
            action = action * 0
        return super().move(state, action)


class NumPy(Sound):
    def observe(self, state):
        seen = super().observe(state)
        return seen.replace(state=np.tanh(np.asarray(seen.state)))


class NumPyDraw(Sound):
    def move(self, state, action):
        return super().move(state, action + np.random.normal())


class PythonDraw(Sound):
    def reset(self, key):
        state, _ = super().reset(key)
        state = state | {"place": state["place"] + random.random()}
        return state, self.observe(state)


class Counts(Sound):
    def __init__(self):
        self.steps_taken = 0

    def step(self, key, state, action):
        self.steps_taken += 1
        return super().step(key, state, action)


class OwnDraw(Sound):
    def __init__(self):
        self.rng = np.random.default_rng(0)

    def move(self, state, action):
        return super().move(state, action + self.rng.normal())


class Keeps(Sound):
    def __init__(self):
        self.history = []

    def step(self, key, state, action):
        self.history.append(action)
        return super().step(key, state, action)


class Clock(Sound):
    def move(self, state, action):
        return super().move(state, action + time.perf_counter() % 1)


class NotBatched(Sound):
    def move(self, state, action):
        place = jax.pure_callback(np.asarray, jax.ShapeDtypeStruct((2,), "float32"), state["place"])
        return super().move(state | {"place": place}, action)


class Raises(Sound):
    def move(self, state, action):
        def fail(t):
            if (t >= 4).any():
                raise RuntimeError("the bridge is closed")
            return np.asarray(t)

        t = jax.pure_callback(
            fail, jax.ShapeDtypeStruct((), "int32"), state["t"], vmap_method="expand_dims"
        )
        return super().move(state | {"t": t}, action)


class DrawsOutside(Sound):
    rng = np.random.default_rng(0)

    def move(self, state, action):
        def draw(t):
            return self.rng.normal(size=np.shape(t)).astype(np.float32)

        noise = jax.pure_callback(
            draw, jax.ShapeDtypeStruct((), "float32"), state["t"], vmap_method="expand_dims"
        )
        return super().move(state, action + noise)


class AnotherState(Sound):
    def move(self, state, action):
        state = super().move(state, action)
        return state | {"t": state["t"].astype(jnp.float32)}


class MoreState(Sound):
    def move(self, state, action):
        return super().move(state, action) | {"last": action}


class ResetOfGym(Sound):
    def reset(self, key):
        return super().reset(key)[1].observation


class StepOfGym(Sound):
    def step(self, key, state, action):
        state, step = super().step(key, state, action)
        return step.observation, state, step.reward, step.truncated, {}


class Tuples(Sound):
    def observe(self, state):
        seen = super().observe(state)
        return seen.observation, seen.state


class NoKey(Sound):
    def step(self, state, action):
        return super().step(None, state, action)


class NoSpec(Sound):
    spec = None


class NoStep:
    spec = SPEC

    def reset(self, key):
        return Sound().reset(key)


class Prints(Sound):
    def move(self, state, action):
        print("moving")
        return super().move(state, action)


class SameStart(Sound):
    def reset(self, key):
        state = {"place": jnp.array([1.0, 2.0]), "t": jnp.array(0)}
        return state, self.observe(state)


CASES = {
    "reward of each agent": Case(
        answering(lambda step, state: {"reward": state["place"]}),
        "shape: reward",
        ("`Step.reward` has shape [2]", "[], one for the whole team", "the agents' mean or sum"),
        "in `step`",
    ),
    "observation of another size": Case(
        seeing(lambda seen, state: {"observation": seen.observation[:, :2]}),
        "shape: observation",
        ("`Observation.observation` has shape [2, 2]", "[2, 3] = [N, d]", "spec.observation_size"),
        "in `reset`",
    ),
    "state of each agent": Case(
        seeing(lambda seen, state: {"state": jnp.stack([seen.state] * 2)}),
        "shape: state",
        ("`Observation.state` has shape [2, 4]", "one state of the whole team"),
        "in `reset`",
    ),
    "one mask for all": Case(
        seeing(lambda seen, state: {"available_actions": jnp.ones(3, bool)}),
        "shape: available_actions",
        ("`Observation.available_actions` has shape [3]", "one row for each of the 2 agents"),
        "in `reset`",
    ),
    "mask the other way round": Case(
        seeing(lambda seen, state: {"available_actions": jnp.ones((3, 2), bool)}),
        "shape: available_actions",
        ("has shape [3, 2]", "transpose"),
        "in `reset`",
    ),
    "no mask": Case(
        seeing(lambda seen, state: {"available_actions": None}),
        "missing: available_actions",
        ("`Observation.available_actions` is missing", "booleans of shape [2, 3]"),
        "in `reset`",
    ),
    "mask of continuous actions": Case(
        Continuous,
        "surplus: available_actions",
        ("actions are continuous", "None"),
        "in `reset`",
    ),
    "mask of numbers": Case(
        seeing(lambda seen, state: {"available_actions": jnp.ones((2, 3))}),
        "dtype: available_actions",
        ("`Observation.available_actions` is float32, not boolean", "astype(bool)"),
        "in `reset`",
    ),
    "flag of numbers": Case(
        answering(lambda step, state: {"terminated": jnp.array(0)}),
        "dtype: terminated",
        ("`Step.terminated` is int32, not boolean",),
        "in `step`",
    ),
    "flag of each agent": Case(
        answering(lambda step, state: {"truncated": jnp.full(2, state["t"] == 6)}),
        "shape: truncated",
        ("`Step.truncated` has shape [2]", "one end"),
        "in `step`",
    ),
    "complex reward": Case(
        answering(lambda step, state: {"reward": step.reward + 1j}),
        "dtype: reward",
        ("`Step.reward` is complex64, not real numbers",),
        "in `step`",
    ),
    "observation in a list": Case(
        seeing(lambda seen, state: {"state": [0.0, 1.0, 2.0, 3.0]}),
        "shape: state",
        ("`Observation.state` is of type list", "array of shape [4]"),
        "in `reset`",
    ),
    "NaN in an observation": Case(
        seeing(
            lambda seen, state: {
                "observation": seen.observation.at[1, 2].set(
                    jnp.where(state["t"] == 4, jnp.nan, 0.5)
                )
            }
        ),
        "not finite: observation",
        ("`Observation.observation` is not finite: nan",),
        "episode 1, step 4, agent 'carrier', feature 2",
    ),
    "infinite state": Case(
        seeing(lambda seen, state: {"state": seen.state.at[3].add(1 / (state["t"] - 2.0) - 1)}),
        "not finite: state",
        ("`Observation.state` is not finite: inf",),
        "episode 1, step 2, feature 3",
    ),
    "infinite reward": Case(
        answering(lambda step, state: {"reward": jnp.log(5.0 - state["t"])}),
        "not finite: reward",
        ("`Step.reward` is not finite: -inf",),
        "episode 1, step 5",
    ),
    "NaN in an outcome": Case(
        answering(
            lambda step, state: {"outcome": {"apples": jnp.where(step.truncated, jnp.nan, 0.0)}},
            outcomes=("apples",),
        ),
        "not finite: outcome: apples",
        ("`Step.outcome['apples']` is not finite",),
        "episode 1, step 6",
    ),
    "outcome left out": Case(
        specified(outcomes=("apples",)),
        "missing: outcome: apples",
        ("`Step.outcome['apples']` is missing",),
        "in `step`",
    ),
    "outcome unheard of": Case(
        answering(
            lambda step, state: {"outcome": {"apples": 1.0, "pears": 2.0}}, outcomes=("apples",)
        ),
        "surplus: outcome: pears",
        ("`Step.outcome['pears']` is not among `spec.outcomes`", "'pears' to"),
        "in `step`",
    ),
    "nothing available": Case(
        seeing(
            lambda seen, state: {
                "available_actions": (jnp.arange(2) == 0)[:, None]
                | jnp.full((2, 3), state["t"] < 3)
            }
        ),
        "no action: alive",
        ("leaves an agent no available action", "does nothing"),
        "episode 1, step 3, agent 'carrier'",
    ),
    "nothing available to the dead": Case(
        DeadWithoutActions,
        "no action: dead",
        ("leaves a dead agent no available action", "first"),
        "episode 1, step 3, agent 'carrier'",
    ),
    "action beyond an agent's own": Case(
        specified(action_counts=(3, 2)),
        "action beyond the count",
        ("allows agent 'carrier' action 2", "0 to 1", "(3, 2)"),
        "episode 1, at the reset, agent 'carrier'",
    ),
    "choice beyond a decision's own": Case(
        deciding(decision_counts=((3, 3), (3, 2))),
        "action beyond the count",
        ("allows agent 'carrier' action 2 of decision 1", "0 to 1", "((3, 3), (3, 2))"),
        "episode 1, at the reset, agent 'carrier'",
    ),
    "back to life": Case(
        BackToLife,
        "back to life",
        ("dead is alive again within the episode", "until the next reset"),
        "episode 1, step 4, agent 'carrier'",
    ),
    "both flags": Case(
        answering(lambda step, state: {"terminated": step.truncated}),
        "both flags",
        ("`Step.terminated` and `Step.truncated` are both set", "truncated & ~terminated"),
        "episode 1, step 6",
    ),
    "win before the end": Case(
        answering(lambda step, state: {"win": state["t"] == 2}, has_win=True),
        "win before the end",
        ("`Step.win` is set at a step that does not end",),
        "episode 1, step 2",
    ),
    "beyond its limit": Case(
        specified(episode_limit=5),
        "beyond the limit",
        ("continues after step 5", "`spec.episode_limit` is 5", "`Step.truncated`"),
        "episode 1, step 5",
    ),
    "never ends": Case(
        answering(lambda step, state: {"truncated": jnp.array(False)}, episode_limit=0),
        "never ends",
        ("has not ended after 50 steps", "`spec.episode_limit` is 0", "max_steps"),
        "episode 1, step 50",
    ),
    "Python's if": Case(
        PythonIf,
        "compiles: step",
        ("`step` cannot be compiled", "TracerBool", "jnp.where", 'if state["t"] > 3'),
    ),
    "NumPy": Case(NumPy, "compiles: reset", ("`reset` cannot be compiled", "jax.numpy", "np.tanh")),
    "NumPy's random numbers": Case(
        NumPyDraw, "impure", ("draws from NumPy's global random numbers", "jax.random")
    ),
    "Python's random numbers": Case(
        PythonDraw, "impure", ("draws from Python's global random numbers", "jax.random")
    ),
    "random numbers of its own": Case(OwnDraw, "impure", ("`step` changes", "`rng`")),
    "a counter": Case(Counts, "impure", ("`step` changes", "attribute `steps_taken`")),
    "a history": Case(Keeps, "impure", ("`step` changes", "attribute `history`")),
    "the clock": Case(Clock, "impure", ("`step` compiles to a different program each time",)),
    "cannot be batched": Case(NotBatched, "compiles: step", ("`step` cannot be batched", "vmap")),
    "raises while it runs": Case(
        Raises,
        "raises: `step`",
        ("`step` raises", "the bridge is closed", "in fail"),
        "episode 1, step 5 or episode 2, step 5",
    ),
    "draws while it runs": Case(
        DrawsOutside,
        "not deterministic",
        ("Two plays with the same seed and the same actions differ",),
        "episode 1, step 1",
    ),
    "state of another dtype": Case(
        AnotherState, "state", ("state['t'], which is float32[] and was int32[]",), "in `step`"
    ),
    "state of more parts": Case(
        MoreState,
        "state",
        ("differs from that of `reset` in state['last']", "has no such part"),
        "in `step`",
    ),
    "Gym's reset": Case(
        ResetOfGym,
        "returns: reset",
        ("`reset` returns an array of shape [2, 3]", "(state, Observation)"),
    ),
    "Gym's step": Case(StepOfGym, "returns: step", ("a tuple of 5", "(state, Step)")),
    "a tuple for an Observation": Case(
        Tuples, "missing: an Observation", ("Expected an Observation", "got a tuple of 2")
    ),
    "another signature": Case(
        NoKey, "compiles: step", ("takes 3 positional arguments", "`step(key, state, action)`")
    ),
    "no specification": Case(NoSpec, "specification", ("`spec` is missing", "EnvironmentSpec")),
    "no step": Case(NoStep, "missing", ("no `step`", "`step(key, state, action)`")),
    "no agents": Case(
        specified(num_agents=0),
        "specification: num_agents",
        ("`spec.num_agents` is 0", "at least 1"),
    ),
    "no actions": Case(
        specified(num_actions=0),
        "specification: no actions",
        ("are both 0", "nothing to decide"),
    ),
    "a size that is no integer": Case(
        specified(state_size=4.0),
        "specification: state_size",
        ("`spec.state_size` is 4.0", "integer"),
    ),
    "too many names": Case(
        specified(agents=("scout", "carrier", "nurse")),
        "specification: agents",
        ("names 3 agents", "`spec.num_agents` is 2"),
    ),
    "a name twice": Case(
        specified(agents=("scout", "scout")), "specification: agents", ("a name twice",)
    ),
    "one string of outcomes": Case(
        specified(outcomes="apples"),
        "specification: outcomes",
        ("'apples'", "tuple of strings", "comma"),
    ),
    "more dimensions than there are": Case(
        specified(num_actions=0, action_size=2, action_sizes=(2, 3)),
        "specification: action_sizes",
        ("(2, 3)", "`spec.action_size`, which is 2"),
    ),
    "more choices than there are": Case(
        specified(action_counts=(4, 3)),
        "specification: action_counts",
        ("(4, 3)", "`spec.num_actions`, which is 3"),
    ),
    "choices of too few agents": Case(
        specified(action_counts=(3,)),
        "specification: action_counts",
        ("has length 1", "there are 2 agents"),
    ),
    "choices of too few decisions": Case(
        deciding(decision_counts=((3, 3), (3,))),
        "specification: decision_counts",
        ("has [2, 1] decisions", "the agents have [2, 2]"),
    ),
    "a decision of more choices than there are": Case(
        deciding(decision_counts=((3, 4), (3, 3))),
        "specification: decision_counts",
        ("((3, 4), (3, 3))", "`spec.num_actions`, which is 3"),
    ),
    "decisions that are not listed by agent": Case(
        deciding(decision_counts=(3, 2)),
        "specification: decision_counts",
        ("is (3, 2)", "tuple of tuples"),
    ),
}

NOTES = {
    "large numbers": Case(
        seeing(lambda seen, state: {"observation": seen.observation.at[0, 0].set(3e7)}),
        "large: observation",
        ("`Observation.observation` reaches 3e+07", "Scale"),
        "episode 1, at the reset, agent 'scout', feature 0",
    ),
    "nothing to see": Case(
        seeing(lambda seen, state: {"observation": jnp.ones((2, 3))}),
        "constant observation",
        ("`Observation.observation` never changed",),
    ),
    "one start": Case(SameStart, "constant start", ("All episodes start with the same",)),
    "prints": Case(Prints, "prints", ("prints 'moving'", "jax.debug.print")),
    "the dead see": Case(
        DeadThatSee,
        "the dead see",
        ("of a dead agent is not 0", "by `alive[:, None]`"),
        "episode 1, step 3, agent 'carrier'",
    ),
    "wins that do not count": Case(
        answering(lambda step, state: {"win": step.truncated}),
        "win without has_win",
        ("`Step.win` is set, but `spec.has_win` is False",),
        "episode 1, step 6",
    ),
}

SOUND = {"discrete": Sound, "continuous": SoundContinuous, "decisions": SoundDecisions}
