"""The count of matrix products against closed forms."""

import jax
import jax.numpy as jnp
import pytest

from opspo.bench.flops import dot_flops

X, W = jnp.ones((3, 5)), jnp.ones((5, 5))
ONE = 2 * 3 * 5 * 5  # of X @ W


def count(function, *arguments):
    return dot_flops(jax.make_jaxpr(function)(*arguments))


def test_a_product_counts_two_for_each_multiply_add():
    assert count(jnp.matmul, X, W) == ONE
    assert count(jnp.add, X, X) == 0
    # a batch of products, and more than one axis summed over
    assert (
        count(jax.vmap(jnp.matmul), jnp.ones((7, 3, 5)), jnp.ones((7, 5, 2))) == 7 * 2 * 3 * 5 * 2
    )
    assert count(lambda a, b: jnp.einsum("lbi,lbj->ij", a, b), *2 * [jnp.ones((4, 3, 5))]) == (
        2 * 4 * 3 * 5 * 5
    )


def test_a_scan_counts_as_often_as_it_is_long():
    def loop(x, w, length):
        return jax.lax.scan(lambda x, _: (x @ w, None), x, None, length=length)[0]

    assert count(lambda x, w: loop(x, w, 6), X, W) == 6 * ONE
    # the compiler's own count does not
    cost = jax.jit(lambda x, w: loop(x, w, 6)).lower(X, W).compile().cost_analysis()
    assert cost["flops"] < 2 * ONE

    def nested(x, w):
        return jax.lax.scan(lambda x, _: (loop(x, w, 6), None), x, None, length=4)[0]

    assert count(jax.jit(nested), X, W) == 24 * ONE
    assert count(lambda x, w: jax.lax.fori_loop(0, 6, lambda _, x: x @ w, x), X, W) == 6 * ONE


def test_a_gradient_costs_the_forward_pass_twice_more():
    assert count(jax.value_and_grad(lambda x, w: ((x @ w) ** 2).sum(), (0, 1)), X, W) == 3 * ONE
    assert count(jax.value_and_grad(lambda w, x: ((x @ w) ** 2).sum()), W, X) == 2 * ONE


def test_of_branches_the_dearest_counts():
    def choose(x, w):
        return jax.lax.cond(x[0, 0] > 0, lambda: x @ w @ w, lambda: x @ w)

    assert count(choose, X, W) == 2 * ONE


def test_rules_of_our_own_and_recomputation_are_looked_into():
    @jax.custom_vjp
    def product(x, w):
        return x @ w

    product.defvjp(lambda x, w: (x @ w, (x, w)), lambda kept, e: (e @ kept[1].T, kept[0].T @ e))
    assert count(product, X, W) == ONE
    assert count(jax.grad(lambda x, w: (product(x, w) ** 2).sum(), (0, 1)), X, W) == 3 * ONE
    again = jax.checkpoint(lambda x, w: jnp.sin(x @ w) @ w)
    assert count(jax.grad(lambda x, w: (again(x, w) ** 2).sum(), (0, 1)), X, W) >= 7 * ONE


def test_a_program_divided_over_devices_counts_all_of_them():
    mesh = jax.sharding.AbstractMesh((3,), ("rows",))
    spec = jax.sharding.PartitionSpec
    divided = jax.shard_map(
        jnp.matmul, mesh=mesh, in_specs=(spec("rows"), spec()), out_specs=spec("rows")
    )
    assert count(divided, X, W) == ONE


@pytest.mark.parametrize("recurrent", [False, True])
@pytest.mark.parametrize("running", [False, True])
def test_the_actors_forward_pass(recurrent, running):
    """2 × weights × rows, the layers' and the unit's, and two sums along the rows of each norm."""
    from opspo.config import PolicyConfig
    from opspo.environments import make_env
    from opspo.policies.team import make_team

    spec = make_env("probe/memory").spec  # two agents, 6 features, 2 actions
    config = PolicyConfig(hidden_sizes=(8, 16), recurrent=recurrent, running_normalisation=running)
    team = make_team(config, spec)
    params = team.init(jax.random.PRNGKey(0))
    length, chunks = 5, 4
    rows = length * chunks * spec.num_agents
    weights = 6 * 8 + 8 * 16 + 16 * 2 + (6 * 16 * 16 if recurrent else 0)
    # running statistics of the input, in place of its norm, need no sum along the row
    normed = (0 if running else 6) + 8 + 16 + (16 if recurrent else 0)
    observation = jnp.ones((length, chunks, 2, 6))
    memory = jnp.ones((chunks, 2, team.memory_size))
    first = jnp.zeros((length, chunks), bool)
    assert (
        count(team.unroll, params, observation, memory, first) == 2 * (weights + 2 * normed) * rows
    )
