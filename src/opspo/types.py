"""The data structures that pass between the parts of training, and the names of array axes.

Axes, in this order: T time, E environments, N agents, then features. K is a group of agents under
update, M the members of the critic (1 if central, N if each agent has its own; 1 or K for a
group), L the time inside a sequence, C the sequences of a batch (C · L = T · E). D is the
dimensions of an action, A the discrete choices, d, s and h the sizes of an observation, a state
and a recurrent state.
Index t is the step at which an action was taken: `observation[t]` is what the agents saw,
`action[t]` what they did, `reward[t]` and the flags the outcome, and `next_state[t]` the true next
state, before any reset.
"""

from __future__ import annotations

from typing import Any

import jax
import optax
from flax import struct

Array = jax.Array
Params = Any  # a pytree of arrays


@struct.dataclass
class Trajectory:
    """One iteration's experience."""

    observation: Array
    """[T, E, N, d]"""
    state: Array
    """[T, E, M, s] what the critic sees: the global state, or each agent's observation"""
    next_state: Array
    """[T, E, M, s] the true successor, even where an episode ended"""
    available_actions: Array | None
    """[T, E, N, A] or [T, E, N, D, A] bool; None for continuous actions"""
    action: Array
    """[T, E, N] int, or [T, E, N, D] int or float"""
    log_prob: Array
    """[T, E, N, D] under the policy that acted, per action dimension (D = 1 for one decision)"""
    alive: Array
    """[T, E, N] bool, false once an agent is dead"""
    first: Array
    """[T, E] bool, true on the first step of an episode"""
    memory: Array
    """[T, E, N, h] the actors' recurrent state before the step (h = 0 without memory)"""
    reward: Array
    """[T, E] the team's reward"""
    terminated: Array
    """[T, E] bool, the task ended: nothing follows"""
    truncated: Array
    """[T, E] bool, a limit cut the episode: the value of `next_state` follows"""
    episode_return: Array
    """[T, E] undiscounted return so far; where the episode ended, that of the whole episode"""
    episode_length: Array
    """[T, E] steps so far"""
    win: Array
    """[T, E] bool, the episode ended in a win"""
    lost: Array | None = None
    """[T, E] bool, the engine failed and the episode does not count; None if that cannot happen"""
    outcome: dict[str, Array] = struct.field(default_factory=dict)
    """[T, E] further numbers that an episode reports, valid where it ended"""

    @property
    def done(self) -> Array:
        """[T, E] bool, the episode was terminated or truncated after the step."""
        return self.terminated | self.truncated


@struct.dataclass
class ActionValues:
    """A linear model of what the joint action adds to the value: q(s, a) = Σ_j f_j(s) · z_j."""

    slope: Array
    """[T, E, N, Z] f of the head when the update begins, in the unit of the reward; 0 for the dead,
    and for action dimensions that an agent has not"""
    action: Array
    """[T, E, N, Z] z, the action less its mean under the policy when the update begins; see
    `distributions.Distribution.centred`"""
    output: Array
    """[T, E, N, o] the actors' outputs when the update begins"""


@struct.dataclass
class Moved:
    """How far each agent has moved since collection: log-ratios [T, E, N], 0 for the dead."""

    log_ratio: Array
    """As used in the objective (`Algorithm.action_ratio`)"""
    density_log_ratio: Array
    """For the whole action, which is what determines the states"""
    mean_action: Array | None = None
    """[T, E, N, Z] mean of the centred actions now, 0 for agents that have not moved; None without
    `ActionValues`"""


@struct.dataclass
class Batch:
    """One iteration's experience with the critic's values."""

    trajectory: Trajectory
    value: Array
    """[T, E, M] V(s_t) of the critic at collection, in the unit of the reward"""
    next_value: Array
    """[T, E, M] V(s_{t+1}), 0 after a termination"""
    raw_value: Array
    """[T, E, M] the critic's own output, around which its change is clipped"""
    critic_memory: Array
    """[C, M, h] the critic's recurrent state at the start of each chunk"""
    learning_rate_scale: Array
    """[] factor on both step sizes"""
    features: Array | None = None
    """[T, E, M, p] the critic's last hidden layer at collection, where a term asks for it"""
    action_values: ActionValues | None = None
    """Where a term asks for them"""
    began: Moved | None = None
    """How far the agents had moved since collection when the update began; None: not at all"""


@struct.dataclass
class StageData:
    """What an algorithm may use to correct the data for one group of agents."""

    reward: Array
    """[T, E, 1]"""
    value: Array
    """[T, E, M]"""
    next_value: Array
    """[T, E, M]"""
    done: Array
    """[T, E, 1] bool, the episode ended after step t: traces stop there"""
    first: Array
    """[T, E, 1] bool"""
    log_ratio: Array
    """[T, E, K] log of the joint ratio of the other agents, as used in weights and ranges"""
    trace_log_ratio: Array
    """[T, E, K] the same for whole actions (product over their dimensions), as used in traces"""
    density_log_ratio: Array
    """[T, E, K] the same for whole actions, as used in state weights; `log_ratio` may be a mean
    over an action's dimensions instead"""
    position: Array
    """[K] position in the order divided by the number of agents, in (0, 1]; 1 if simultaneous"""
    nearness: Array
    """[K] `objectives.agent_clips.nearness` at the start of the round over the agents"""
    alive: Array
    """[T, E, K] bool, whether the agent under update is alive"""
    stage: Array
    """[] int, the number of the update's stage, from 0"""
    features: Array | None = None
    """[T, E, M, p] the critic's last hidden layer at collection, where a term asks for it"""
    action_value: Array | None = None
    """[T, E, 1] q(s_t, a_t) of `ActionValues`, where a term asks for it"""
    own_action_value: Array | None = None
    """[T, E, K] the part of q that is the agent's own, f_i · z_i"""
    own_began: Array | None = None
    """[T, E, K] log of the agent's own ratio when the update began, where it is not 0"""
    value_shift: Array | None = None
    """[T, E, K] E q under the other agents as they are now, Σ_{j≠i} f_j · E z_j: what their moves
    add to V"""


@struct.dataclass
class Correction:
    """An algorithm's correction of the data: every term of the surrogate, each [T, E, K]."""

    advantage: Array
    value_target: Array
    weight: Array
    low: Array
    high: Array
    state_weight: Array
    """ω before any clipping, for the diagnostics"""


@struct.dataclass
class ValueStatistics:
    """Running moments of the value targets, each [], without bias towards the start."""

    mean: Array
    rest: Array
    """The rounding error of `mean`: the exact mean is `mean` + `rest`"""
    variance: Array
    """About the mean"""
    weight: Array
    """Sum of the decayed weights so far, which determines how much a new batch counts"""


@struct.dataclass
class RolloutState:
    """The state of the environments between two iterations."""

    environment: Any
    observation: Any
    """`environments.base.Observation`, with leading axis E"""
    memory: Array
    """[E, N, h] the actors' recurrent state"""
    first: Array
    """[E] bool"""
    episode_return: Array
    """[E]"""
    episode_length: Array
    """[E]"""


@struct.dataclass
class TrainState:
    """Everything that training depends on; a checkpoint is this pytree."""

    actor: Params
    """Stacked on a leading agent axis, or one set if shared"""
    actor_optimiser: optax.OptState
    critic: Params
    critic_optimiser: optax.OptState
    value_statistics: ValueStatistics
    critic_memory: Array
    """[E, M, h]"""
    state_weight: Any
    """What the state weights have learned; `()` if nothing"""
    rollout: RolloutState
    key: Array
    """uint32 [2], raw PRNG key"""
    iteration: Array
    """int32 [], number of iterations done"""
    action_head: Any = ()
    """The head of the critic that gives `ActionValues`; `()` if no term asks for them"""
    earlier: Any = ()
    """Batches of earlier iterations, where they are used again; see `training.reuse`"""
