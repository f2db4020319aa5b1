"""An update of simultaneous PPO agents written out: full batches, no stages, no correction terms.

Feed-forward networks and discrete actions; no clever axes: one loop over epochs, one over agents.
"""

import jax
import jax.numpy as jnp
import optax

CLIP, ENTROPY, MAX_NORM, RATE = 0.2, 0.01, 10.0, 3e-3


def ppo_gain(ratios, agent, advantage):
    """min( r^i A, clip(r^i, 1 ± ε) A ); `ratios` are all agents', [T, E] each."""
    ratio = ratios[agent]
    return jnp.minimum(ratio * advantage, jnp.clip(ratio, 1 - CLIP, 1 + CLIP) * advantage)


def coppo_gain(ratios, agent, advantage, *, others_clip=0.1):
    """min( g r^i A, clip(g r^i, 1 ± ε1) A ), g = clip(Π_{j≠i} r^j, 1 ± ε2) of this very moment."""
    product = jnp.ones_like(advantage)
    for other, ratio in enumerate(ratios):
        if other != agent:
            product = product * ratio
    g = jax.lax.stop_gradient(jnp.clip(product, 1 - others_clip, 1 + others_clip))
    mixed = g * ratios[agent]
    return jnp.minimum(mixed * advantage, jnp.clip(mixed, 1 - CLIP, 1 + CLIP) * advantage)


def mean(x, mask):
    return jnp.where(mask, x, 0).sum() / mask.sum()


def network_on(network, params, x):
    """Outputs [T, E, o] for inputs [T, E, d]."""
    flat = x.reshape(1, -1, x.shape[-1])
    out, _ = network.apply(
        params, flat, jnp.zeros((flat.shape[1], 0)), jnp.zeros(flat.shape[:2], bool)
    )
    return out.reshape(*x.shape[:2], -1)


def actor_loss(params, network, trajectory, advantage, gain, *, shared):
    """`params` is a list of one set for each agent, or a list of one for all."""
    agents = range(trajectory.alive.shape[-1])
    ratios, entropies = [], []
    for agent in agents:
        own = params[0 if shared else agent]
        logits = network_on(network, own, trajectory.observation[:, :, agent])
        logits = jnp.where(trajectory.available_actions[:, :, agent], logits, -1e30)
        log_probs = jax.nn.log_softmax(logits)
        action = trajectory.action[:, :, agent, None]
        taken = jnp.take_along_axis(log_probs, action, -1)[..., 0]
        change = jnp.exp(taken - trajectory.log_prob[:, :, agent, 0])
        ratios.append(jnp.where(trajectory.alive[:, :, agent], change, 1.0))
        entropies.append(-(jnp.exp(log_probs) * log_probs).sum(-1))
    gains = jnp.stack(
        [gain(ratios, i, advantage[..., i]) + ENTROPY * entropies[i] for i in agents], -1
    )
    if shared:
        return -mean(gains, trajectory.alive)
    return -sum(mean(gains[..., i], trajectory.alive[..., i]) for i in agents)


def critic_loss(params, network, trajectory, member, target, old):
    value = network_on(network, params, trajectory.state[:, :, member])[..., 0]
    near = old + jnp.clip(value - old, -0.2, 0.2)
    losses = [optax.huber_loss(v, target, delta=10.0) for v in (value, near)]
    return jnp.maximum(*losses).mean()


def standardise(x, mask):
    centre = mean(x, mask)
    return (x - centre) / (jnp.sqrt(mean((x - centre) ** 2, mask)) + 1e-5)


def adam(params, loss, steps):
    """Adam behind a bound on the gradient's norm; each set of parameters by itself."""
    optimiser = optax.chain(optax.clip_by_global_norm(MAX_NORM), optax.adam(RATE, eps=1e-5))
    memories = [optimiser.init(p) for p in params]

    def step(_, now):
        gradients = jax.grad(loss)([own for own, _ in now])
        moved = []
        for (own, memory), gradient in zip(now, gradients, strict=True):
            change, memory = optimiser.update(gradient, memory, own)  # noqa: PLW2901
            moved.append((optax.apply_updates(own, change), memory))
        return moved

    # a loop of the compiler's, which so compiles one step
    now = jax.lax.fori_loop(0, steps, step, list(zip(params, memories, strict=True)))
    return [own for own, _ in now]


def train(learner, actors, critics, batch, advantage, gain, unit, *, epochs):
    """The actors and critics (lists of parameters) after an update.

    `advantage` [T, E, M] is GAE, unscaled, of the central critic (M = 1) or of each agent's. `unit`
    is the mean and deviation of the critic's.
    """
    trajectory, shared = batch.trajectory, len(actors) == 1
    alive = trajectory.alive
    rows = jnp.broadcast_to(advantage, alive.shape)
    if shared:
        scaled = standardise(rows, alive)
    else:
        each = [standardise(rows[..., i], alive[..., i]) for i in range(alive.shape[-1])]
        scaled = jnp.stack(each, -1)
    target = (advantage + batch.value - unit[0]) / unit[1]
    members = target.shape[-1]

    def all_actors(params):
        network = learner.team.network
        return actor_loss(params, network, trajectory, scaled, gain, shared=shared)

    def all_critics(params):
        network = learner.critic.network
        losses = [
            critic_loss(
                params[0 if len(critics) == 1 else m],
                network,
                trajectory,
                m,
                target[..., m],
                batch.raw_value[..., m],
            )
            for m in range(members)
        ]
        return sum(losses) / (members if len(critics) == 1 else 1)

    return adam(actors, all_actors, epochs), adam(critics, all_critics, epochs)
