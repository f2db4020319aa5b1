"""What a stage measures of its agents' moves."""

import jax
import jax.numpy as jnp
import numpy as np
from small import collect, learner_of, small_config

from opspo.update.stage import Moved


def test_the_objective_takes_the_mean_over_dimensions_and_densities_their_product():
    """Two-dimensional actions, moved by known log-ratios: see `Moved`."""
    config = small_config("probe/continuous", shared=False)
    learner, _ = learner_of(config)
    state = jax.jit(learner.init, static_argnums=0)(0)
    trajectory = collect(learner, state)
    # the one dimension twice, with log-probabilities at collection off by 0.1 and −0.3
    change = jnp.array([0.1, -0.3])
    doubled = trajectory.replace(
        log_prob=trajectory.log_prob - change, action=jnp.repeat(trajectory.action, 2, axis=-1)
    )

    class Twice:
        """The team's distribution, for either dimension."""

        def log_prob(self, output, action, available):
            one = learner.team.distribution.log_prob(output, action[..., :1], available)
            return jnp.repeat(one, 2, axis=-1)

    update = learner.update
    team = type(update.team)(**{**vars(update.team), "distribution": Twice()})
    update = type(update)(**{**vars(update), "team": team})
    nothing = jnp.zeros(trajectory.alive.shape)
    moved = update._measure(state.actor, doubled, Moved(nothing, nothing), jnp.array([1]))
    np.testing.assert_allclose(moved.log_ratio[..., 0], 0)
    mean = np.log(np.mean(np.exp([0.1, -0.3])))
    np.testing.assert_allclose(moved.log_ratio[..., 1], mean, atol=1e-5)
    np.testing.assert_allclose(moved.density_log_ratio[..., 1], -0.2, atol=1e-5)
