"""Multi-agent MuJoCo: a robot whose joints are moved by different agents, simulated by EnvPool.

`mamujoco/<Task>-<partition>[:option,...]`, for example `mamujoco/HalfCheetah-6x1`,
`mamujoco/Humanoid-9|8`, `mamujoco/Walker2d-6x1:obsk=1,v5`. Options:

- `obsk=k`: an agent sees its own joints and those up to k joints away (Gymnasium-Robotics). By
  default (`obsk=all`) it sees the whole robot and its own number, one-hot, as in the paper;
- `v5`: Gymnasium's v5 of the task. The default is v4; for Ant, v4 with the contact forces of v2.
  Returns of different versions are not comparable.
"""

from __future__ import annotations

import io
import os
import re
from contextlib import redirect_stderr
from dataclasses import dataclass
from importlib.metadata import version as installed
from typing import Any

import numpy as np

from opspo.environments.base import EnvironmentSpec, Observation, Step
from opspo.environments.decisions import unless_equal
from opspo.environments.seeding import spread
from opspo.errors import ConfigError

TASKS = (
    "Ant",
    "HalfCheetah",
    "Hopper",
    "Humanoid",
    "HumanoidStandup",
    "Reacher",
    "Swimmer",
    "Walker2d",
)
EPISODE_LIMIT = 1000
VELOCITY_IN_BODIES = ("Ant", "Humanoid", "HumanoidStandup")
"""Tasks whose v4 and v5 observations differ; the map to local observations is for v5"""


@dataclass(frozen=True)
class Robot:
    """A task with its partition, from an id."""

    task: str
    partition: str
    version: str = "v4"
    obsk: int | None = None
    """How many joints away an agent sees; None: the whole robot"""

    @property
    def engine_id(self) -> str:
        """EnvPool's id of the task."""
        return f"{self.task}-{self.version}"


def parse(name: str) -> Robot:
    """Parse `<Task>-<partition>[:option,...]`.

    Raises:
        ConfigError: the name or an option is unknown, or `obsk=k` needs `v5` for this task.
    """
    body, _, options = name.partition(":")
    task, _, partition = body.partition("-")
    if task not in TASKS or not partition:
        raise ConfigError(
            f"'mamujoco/{name}' is not <Task>-<partition>, such as mamujoco/HalfCheetah-6x1, with "
            f"one of the tasks {', '.join(TASKS)}."
        )
    version, obsk = "v4", None
    for option in filter(None, options.split(",")):
        seen = re.fullmatch(r"obsk=(\d+|all)", option)
        if seen:
            obsk = None if seen[1] == "all" else int(seen[1])
        elif option in ("v4", "v5"):
            version = option
        else:
            raise ConfigError(
                f"'mamujoco/{name}': there is no option '{option}'. There are obsk=all, "
                "obsk=<joints>, v4 and v5."
            )
    if obsk is not None and version == "v4" and task in VELOCITY_IN_BODIES:
        raise ConfigError(
            f"'mamujoco/{name}': local observations (obsk={obsk}) of {task} exist only for v5; add "
            "',v5' to the id, or leave obsk out."
        )
    return Robot(task, partition, version, obsk)


def factorise(robot: Robot) -> dict[str, Any]:
    """Gymnasium-Robotics' `partition` (the joints of each agent), `edges` and `globals`.

    A partition `<agents>x<joints>` that Gymnasium-Robotics does not know splits the joints in the
    order of the actuators.

    Raises:
        ConfigError: the partition does not fit the robot.
    """
    with redirect_stderr(io.StringIO()):  # the first import prints the package's news
        from gymnasium_robotics.envs.multiagent_mujoco.obsk import (  # noqa: PLC0415
            get_parts_and_edges,
        )

    # all three from one call: an edge refers to its joints by object identity
    names = ("partition", "edges", "globals")
    try:
        return dict(zip(names, get_parts_and_edges(robot.task, robot.partition), strict=True))
    except Exception as error:  # it raises no narrower one
        if "UNKNOWN" not in str(error):
            raise
    (joints,), edges, shared = get_parts_and_edges(robot.task, None)
    joints = sorted(joints, key=lambda joint: joint.act_ids)
    cut = re.fullmatch(r"(\d+)x(\d+)", robot.partition)
    if not cut or int(cut[1]) * int(cut[2]) != len(joints):
        raise ConfigError(
            f"mamujoco/{robot.task}-{robot.partition}: {robot.task} has {len(joints)} joints, so "
            f"a partition is <agents>x<joints per agent> with a product of {len(joints)}"
            + (", or 9|8." if robot.task.startswith("Humanoid") else ".")
        )
    size = int(cut[2])
    parts = [tuple(joints[i : i + size]) for i in range(0, len(joints), size)]
    return {"partition": parts, "edges": edges, "globals": shared}


def local_indices(robot: Robot) -> list[np.ndarray]:
    """For each agent, the indices of the whole observation that it sees with obsk = k."""
    from gymnasium_robotics import mamujoco_v1  # noqa: PLC0415

    environment = mamujoco_v1.parallel_env(
        robot.task,
        robot.partition,
        agent_obsk=robot.obsk,
        agent_factorization=factorise(robot),
    )
    try:
        found = environment.observation_factorization
        return [np.asarray(found[agent]) for agent in environment.possible_agents]
    finally:
        environment.close()


class MAMuJoCo:
    """A multi-agent MuJoCo task as a `HostEnvironment`."""

    def __init__(self, name: str) -> None:
        self.robot = parse(name)
        parts = factorise(self.robot)["partition"]
        self.actuators = [np.array([joint.act_ids for joint in part]) for part in parts]
        self.seen = None if self.robot.obsk is None else local_indices(self.robot)
        size = self.engine(1, 0).observation_space.shape[0]
        agents = len(parts)
        self.spec = EnvironmentSpec(
            name=f"mamujoco/{name}",
            num_agents=agents,
            observation_size=size + agents if self.seen is None else max(map(len, self.seen)),
            state_size=size,
            action_size=max(map(len, parts)),
            action_sizes=unless_equal([len(part) for part in parts]),
            agents=tuple(f"agent_{i}" for i in range(agents)),
            episode_limit=EPISODE_LIMIT,
            engine=f"envpool {installed('envpool')}, {self.robot.engine_id}",
        )

    def open(self, num_envs: int, seed: int) -> MuJoCoBatch:
        """Start the engine."""
        return MuJoCoBatch(self, self.engine(num_envs, seed), num_envs)

    def observe(self, whole: np.ndarray) -> Observation:
        """The agents' observations [E, N, d] from the whole observation [E, s]."""
        num_envs, agents = len(whole), self.spec.num_agents
        if self.seen is None:
            number = np.broadcast_to(np.eye(agents), (num_envs, agents, agents))
            spread = np.broadcast_to(whole[:, None], (num_envs, agents, whole.shape[1]))
            both = np.concatenate([spread, number], axis=-1)
            observation: Any = both.astype(np.float32)
        else:
            observation = np.zeros((num_envs, agents, self.spec.observation_size), np.float32)
            for i, indices in enumerate(self.seen):
                observation[:, i, : len(indices)] = whole[:, indices]
        alive: Any = np.ones((num_envs, agents), bool)
        state: Any = whole.astype(np.float32)
        return Observation(observation, state, None, alive)

    def engine(self, num_envs: int, seed: int, **options: Any) -> Any:
        """EnvPool's robots; `options` are passed to its `make`."""
        import envpool  # noqa: PLC0415  (takes a second)

        if self.robot.engine_id == "Ant-v4":
            options["use_contact_force"] = True
        # by default it starts a thread per environment, more than there are cores; where JAX is
        # kept to fewer, as on a node that several runs share, so are the robots
        bound = int(os.environ.get("PJRT_NPROC") or num_envs)
        threads = min(num_envs, len(os.sched_getaffinity(0)), bound)
        # given one number, it would count up from it, and so share seeds with the next numbers
        seeds = spread(seed, num_envs)
        return envpool.make_gymnasium(
            self.robot.engine_id, num_envs=num_envs, num_threads=threads, seed=seeds, **options
        )


class MuJoCoBatch:
    """A `HostBatch` of robots, which EnvPool steps in its own threads."""

    lost_episodes = 0

    def __init__(self, environment: MAMuJoCo, engine: Any, num_envs: int) -> None:
        self._environment, self._engine = environment, engine
        space = engine.action_space
        self._low, self._high = space.low, space.high
        self._num_envs = num_envs

    def reset(self) -> Observation:
        """Start an episode in every environment."""
        return self._environment.observe(self._engine.reset()[0])

    def step(self, action: np.ndarray) -> tuple[Step, Observation]:
        """Take actions [E, N, D], clipped to [−1, 1]."""
        whole, reward, terminated, truncated, _ = self._engine.step(self._torques(action))
        seen, no_win = self._environment.observe(whole), np.zeros_like(terminated)
        outcome: tuple[Any, Any, Any] = (
            reward.astype(np.float32),
            terminated,
            truncated & ~terminated,
        )
        step = Step(seen, *outcome, no_win)
        ended = np.flatnonzero(terminated | truncated).astype(np.int32)
        if not len(ended):
            return step, seen
        # EnvPool resets at the next step of an environment, whatever the action
        idle = np.zeros((len(ended), *self._low.shape), self._low.dtype)
        following = whole.copy()
        following[ended] = self._engine.step(idle, ended)[0]
        return step, self._environment.observe(following)

    def close(self) -> None:
        """Stop the threads."""
        self._engine.close()

    def _torques(self, action: np.ndarray) -> np.ndarray:
        """[E, N, D] in [−1, 1] → [E, actuators] in the actuators' range."""
        action = np.clip(action, -1, 1).astype(self._low.dtype)
        whole = np.zeros((self._num_envs, *self._low.shape), self._low.dtype)
        for i, actuators in enumerate(self._environment.actuators):
            whole[:, actuators] = action[:, i, : len(actuators)]
        return self._low + (whole + 1) / 2 * (self._high - self._low)
