"""JaxMARL's cooperative environments: `jaxmarl/<id>[:option=value,...]`.

For example `jaxmarl/MPE_simple_spread_v3`, `jaxmarl/overcooked:layout=coord_ring`. Options are
passed to the engine. SMAX has its own adapter.

Shorter observations are padded with zeros; surplus actions are never available, and surplus action
dimensions or decisions do nothing. The team's reward is the mean over its agents; where agents
share a reward, that mean is the reward itself.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import Any

import jax
import jax.numpy as jnp

from opspo.environments.base import EnvironmentSpec, Observation, Step
from opspo.environments.decisions import choices_of, team_sizes
from opspo.environments.jaxmarl_spaces import action_of
from opspo.environments.opponents import MPE_GAMES, OPPONENTS
from opspo.environments.quiet import silenced
from opspo.errors import ConfigError, unknown_name
from opspo.types import Array


@dataclass(frozen=True)
class Kind:
    """What the adapter needs to know about an engine."""

    limit: Callable[[Any], int]
    """(engine) → maximum number of steps in an episode; 0 for no limit"""
    decided: Callable[[Array, Mapping[str, Any]], Array | bool]
    """(the team's reward, info) → whether an episode that is over ended by itself, rather than
    being cut by the limit"""
    options: Mapping[str, type] = field(default_factory=dict)
    """Options of the id, with their types"""
    fixed: Mapping[str, Any] = field(default_factory=dict)
    """Further arguments passed to the engine"""
    team: str = "agents"
    """The engine's attribute that lists the agents to control; the actions of others are ignored"""
    whole: Callable[[Any, Any], Array] | None = None
    """(engine, its state) → [s] for the critic; None: the concatenated observations"""


def _never(reward: Array, info: Mapping[str, Any]) -> bool:
    return False


def _mpe(**options: type) -> Kind:
    # the engine checks the step count before incrementing it
    return Kind(lambda engine: engine.max_steps + 1, _never, {"max_steps": int, **options})


def _facmac(**options: type) -> Kind:
    return Kind(
        lambda engine: engine.max_steps + 1,
        _never,
        options,
        team="adversaries",  # the engine moves the prey
        whole=lambda engine, state: _in_a_row(engine.get_world_state(state), engine.agents),
    )


def _overcooked(**options: type) -> Kind:
    return Kind(
        lambda engine: engine.max_steps, _never, {"layout": str, "max_steps": int, **options}
    )


def _brax(**fixed: Any) -> Kind:
    return Kind(
        lambda engine: engine.episode_length,
        lambda reward, info: info["truncation"] == 0,
        {"backend": str, "episode_length": int},
        {"auto_reset": False, **fixed},  # otherwise even `step_env` resets
        whole=lambda engine, state: state.obs,
    )


KINDS: dict[str, Kind] = {
    "MPE_simple_v3": _mpe(action_type=str, num_agents=int, num_landmarks=int),
    "MPE_simple_spread_v3": _mpe(
        action_type=str, num_agents=int, num_landmarks=int, local_ratio=float
    ),
    "MPE_simple_reference_v3": _mpe(action_type=str, local_ratio=float),
    "MPE_simple_speaker_listener_v4": _mpe(action_type=str),
    "MPE_simple_facmac_v1": _facmac(
        max_steps=int,
        num_good_agents=int,
        num_adversaries=int,
        num_landmarks=int,
        view_radius=float,
        score_function=str,
    ),
    "MPE_simple_facmac_3a_v1": _facmac(),
    "MPE_simple_facmac_6a_v1": _facmac(),
    "MPE_simple_facmac_9a_v1": _facmac(),
    "overcooked": _overcooked(),
    "overcooked_v2": _overcooked(agent_view_size=int),
    # it ends when lives or cards run out, or the fireworks are complete
    "hanabi": Kind(lambda engine: 0, lambda reward, info: True, {"num_agents": int}),
    # only the agent that speaks is rewarded, and speaking ends the episode
    "switch_riddle": Kind(
        lambda engine: engine.max_steps, lambda reward, info: reward != 0, {"num_agents": int}
    ),
    "ant_4x2": _brax(),
    # JaxMARL's indices count the position, which Brax leaves out by default
    "halfcheetah_6x1": _brax(exclude_current_positions_from_observation=False),
    "hopper_3x1": _brax(),
    "humanoid_9|8": _brax(),
    "walker2d_2x3": _brax(),
}
_SELFISH = "rewards each agent for itself, and opspo trains one team"
_GOALS = "gives each robot its own goal and reward, and opspo trains one team"
_SMAX = "is the engine of smax/<map>, such as smax/3m; use that"
NOT_HERE: dict[str, str] = {
    **{f"MPE_{game}_v3": OPPONENTS for game in MPE_GAMES},
    "storm": _SELFISH,
    "storm_2p": _SELFISH,
    "storm_np": _SELFISH,
    "coin_game": _SELFISH,
    "jaxnav": _GOALS,
    "SMAX": _SMAX,
    "HeuristicEnemySMAX": _SMAX,
    "LearnedPolicyEnemySMAX": _SMAX,
}
"""JaxMARL's other environments, and why each is unsupported"""


def parse(name: str) -> tuple[str, dict[str, Any]]:
    """Split `<id>[:option=value,...]` into the engine's id and its arguments.

    Raises:
        ConfigError: the id does not exist or is not cooperative, or an option is wrong.
    """
    task, _, given = name.partition(":")
    if task in NOT_HERE:
        raise ConfigError(f"jaxmarl/{task} {NOT_HERE[task]}. There are: {', '.join(KINDS)}.")
    if task not in KINDS:
        raise unknown_name("JaxMARL environment", task, KINDS)
    known = KINDS[task].options
    options = {}
    for option in filter(None, given.split(",")):
        key, _, value = option.partition("=")
        if key not in known:
            names = ", ".join(known) or "none"
            raise ConfigError(f"jaxmarl/{task} has no option '{key}'. Its options: {names}.")
        try:
            options[key] = known[key](value)
        except ValueError as error:
            kind = known[key].__name__
            raise ConfigError(f"jaxmarl/{task}: {key} must be {kind}, but is '{value}'.") from error
    return task, options


def _make_engine(task: str, options: dict[str, Any]) -> Any:
    """Make JaxMARL's environment.

    Raises:
        ConfigError: Brax is missing, the engine rejects an option, or it is broken.
    """
    with silenced():
        import jaxmarl  # noqa: PLC0415  (takes four seconds)
        from jaxmarl.environments import overcooked_layouts  # noqa: PLC0415

    arguments = {**KINDS[task].fixed, **options}
    if task == "overcooked" and "layout" in options:
        if options["layout"] not in overcooked_layouts:
            raise unknown_name("Overcooked layout", options["layout"], overcooked_layouts)
        arguments["layout"] = overcooked_layouts[options["layout"]]
    try:
        engine = jaxmarl.make(task, **arguments)
    except ImportError as error:
        raise ConfigError(
            f"jaxmarl/{task} needs Brax, which is missing or does not load: "
            f"pip install 'jaxmarl[mabrax]=={version('jaxmarl')}'"
        ) from error
    except (AssertionError, NotImplementedError, TypeError, ValueError) as error:
        raise ConfigError(f"jaxmarl/{task} does not accept {options}: {error}") from error
    seen = getattr(engine, "agent_obs_mapping", {})
    if any(int(indices.max()) >= engine.env.observation_size for indices in seen.values()):
        raise ConfigError(
            f"jaxmarl/{task}: JaxMARL gives agents features beyond the "
            f"{engine.env.observation_size} that this version of Brax has. Use a task of mamujoco/ "
            "instead, such as mamujoco/Humanoid-9|8."
        )
    return engine


class JaxMARL:
    """Any cooperative environment of JaxMARL, as a `JaxEnvironment`."""

    def __init__(self, name: str) -> None:
        task, options = parse(name)
        self._kind = KINDS[task]
        self.engine = engine = _make_engine(task, options)
        self.agents: list[str] = list(getattr(engine, self._kind.team))
        self._idle = {
            agent: jnp.zeros(engine.action_space(agent).shape)
            for agent in engine.agents
            if agent not in self.agents
        }
        name = f"jaxmarl/{name}"
        self._actions = [
            action_of(engine.action_space(agent), f"{name}: agent '{agent}'")
            for agent in self.agents
        ]
        # the sizes JaxMARL declares are not always those of the arrays it returns
        seen, state = jax.eval_shape(engine.reset, jax.random.PRNGKey(0))
        self.spec = EnvironmentSpec(
            name=name,
            num_agents=len(self.agents),
            observation_size=max(seen[agent].size for agent in self.agents),
            state_size=jax.eval_shape(self._state, seen, state).size,
            agents=tuple(self.agents),
            episode_limit=self._kind.limit(engine),
            engine=f"jaxmarl {version('jaxmarl')}",
            **team_sizes(self._actions, name),
        )

    def reset(self, key: Array) -> tuple[Any, Observation]:
        """Start an episode; return its state and the first observation."""
        seen, state = self.engine.reset(key)
        return state, self._observe(seen, state)

    def step(self, key: Array, state: Any, action: Array) -> tuple[Any, Step]:
        """Take the joint action, int [N] or [N, D], or float [N, D] in [−1, 1]."""
        actions = {
            agent: own.decode(chosen.reshape(-1)[: own.size])
            for agent, chosen, own in zip(self.agents, action, self._actions, strict=True)
        }
        # not `step`, which resets at the end and so overwrites the last observation
        seen, state, rewards, dones, info = self.engine.step_env(key, state, actions | self._idle)
        reward = jnp.stack([rewards[agent] for agent in self.agents]).mean()
        done = dones["__all__"]
        terminated = done & self._kind.decided(reward, info)
        return state, Step(
            observation=self._observe(seen, state),
            reward=reward.astype(jnp.float32),
            terminated=terminated,
            truncated=done & ~terminated,
            win=jnp.zeros_like(done),
        )

    def _observe(self, seen: Mapping[str, Array], state: Any) -> Observation:
        width = self.spec.observation_size
        rows = [seen[agent].reshape(-1).astype(jnp.float32) for agent in self.agents]
        return Observation(
            observation=jnp.stack([jnp.pad(row, (0, width - row.size)) for row in rows]),
            state=self._state(seen, state),
            available_actions=self._available(state) if self.spec.num_actions else None,
            alive=jnp.ones(len(self.agents), bool),
        )

    def _available(self, state: Any) -> Array:
        """The action mask; of these engines, only Hanabi has one of its own."""
        if not hasattr(self.engine, "get_legal_moves"):
            return jnp.asarray(choices_of(self.spec))
        legal = self.engine.get_legal_moves(state)
        return jnp.stack([legal[agent] for agent in self.agents]) > 0

    def _state(self, seen: Mapping[str, Array], state: Any) -> Array:
        if self._kind.whole is None:
            return _in_a_row(seen, self.agents)
        return self._kind.whole(self.engine, state)


def _in_a_row(vectors: Mapping[str, Array], agents: list[str]) -> Array:
    return jnp.concatenate([vectors[a].reshape(-1).astype(jnp.float32) for a in agents])
