"""Plans: who is updated in which stage."""

from itertools import chain, pairwise

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from opspo.update import orders, schedule

EPOCHS = 3
SIZES = [(1, 1), (3, 2), (4, 2), (5, 4), (5, 5), (3, 7)]
sizes = pytest.mark.parametrize(("agents", "blocks"), SIZES)
cumulative_or_not = pytest.mark.parametrize("cumulative", [False, True])


def make_plan(rule, agents, seed=0):
    return rule(jax.random.PRNGKey(seed), jnp.arange(float(agents)))


def groups(plan):
    """The agents that each stage updates, in the order of the row."""
    rows = zip(np.asarray(plan.agents), np.asarray(plan.active), strict=True)
    return [row[active].tolist() for row, active in rows]


def rounds_of(plan):
    stages = groups(plan)
    return [stages[i : i + plan.positions] for i in range(0, len(stages), plan.positions)]


@pytest.mark.parametrize("agents", [1, 4])
def test_simultaneous_is_one_stage_with_everybody(agents):
    plan = make_plan(schedule.simultaneous(num_agents=agents, epochs=EPOCHS), agents)
    assert groups(plan) == [list(range(agents))]
    assert (plan.epochs, plan.positions) == (EPOCHS, 1)


@pytest.mark.parametrize("name", ["cyclic", "greedy", "random"])
def test_one_by_one_follows_the_order(name):
    chosen = getattr(orders, name)
    plan = make_plan(schedule.sequential(chosen, num_agents=4, epochs=EPOCHS), 4, seed=5)
    expected = np.asarray(chosen(jax.random.PRNGKey(5), jnp.arange(4.0)))
    assert groups(plan) == [[agent] for agent in expected.tolist()]
    assert (plan.epochs, plan.positions) == (EPOCHS, 4)


def check_ranks(plan, drawn):
    """Against the order of each stage (lists of agents), in a loop."""
    assert len(drawn) == len(plan.rank)
    for row, order_of_stage in zip(np.asarray(plan.rank), drawn, strict=True):
        for agent, place in enumerate(row):
            assert order_of_stage[place] == agent


def test_rank_is_the_place_in_the_order_one_by_one():
    plan = make_plan(schedule.sequential(orders.random, num_agents=5, epochs=EPOCHS), 5, seed=3)
    agents = np.asarray(plan.agents)[:, 0].tolist()
    check_ranks(plan, [agents] * 5)


@sizes
def test_rank_is_the_place_in_each_epochs_own_order(agents, blocks):
    rule = schedule.in_blocks(
        orders.random, num_agents=agents, rounds=EPOCHS, blocks=blocks, cumulative=False
    )
    plan = make_plan(rule, agents, seed=3)
    drawn = [list(chain(*stages)) for stages in rounds_of(plan)]
    check_ranks(plan, [o for o in drawn for _ in range(plan.positions)])


@sizes
def test_rank_in_cumulative_blocks_grows_from_block_to_block(agents, blocks):
    rule = schedule.in_blocks(
        orders.random, num_agents=agents, rounds=EPOCHS, blocks=blocks, cumulative=True
    )
    plan = make_plan(rule, agents, seed=3)
    for stage, row in zip(groups(plan), np.asarray(plan.rank), strict=True):
        assert sorted(row) == list(range(agents))
        assert sorted(row[stage]) == list(range(len(stage)))  # the first of the order


def test_all_are_last_where_all_move_at_once():
    plan = make_plan(schedule.simultaneous(num_agents=4, epochs=EPOCHS), 4)
    assert np.asarray(plan.rank).tolist() == [[3, 3, 3, 3]]


@sizes
@cumulative_or_not
def test_every_agent_has_its_turn_in_every_epoch(agents, blocks, cumulative):
    plan = make_plan(
        schedule.in_blocks(
            orders.random, num_agents=agents, rounds=EPOCHS, blocks=blocks, cumulative=cumulative
        ),
        agents,
    )
    assert plan.epochs == 1
    assert plan.positions == min(agents, blocks)
    rounds = rounds_of(plan)
    assert len(rounds) == EPOCHS
    for stages in rounds:
        if cumulative:
            assert sorted(stages[-1]) == list(range(agents))
            for before, after in pairwise(stages):
                assert set(before) < set(after)
        else:
            assert sorted(chain(*stages)) == list(range(agents))


@sizes
@cumulative_or_not
def test_parts_differ_by_one_agent_at_most(agents, blocks, cumulative):
    rule = schedule.in_blocks(
        orders.random, num_agents=agents, rounds=EPOCHS, blocks=blocks, cumulative=cumulative
    )
    for stages in rounds_of(make_plan(rule, agents)):
        counts = [len(stage) for stage in stages]
        if cumulative:
            counts = np.diff([0, *counts])
        assert min(counts) >= 1
        assert max(counts) - min(counts) <= 1


@pytest.mark.parametrize(("agents", "blocks"), [*SIZES, (8, 5), (7, 4), (10, 3), (27, 3)])
@cumulative_or_not
def test_blocks_are_cut_as_numpy_splits_an_array(agents, blocks, cumulative):
    """8 agents in 5 blocks are 2, 2, 2, 1, 1: the larger ones come first (A2PO's public code)."""
    rule = schedule.in_blocks(
        orders.cyclic, num_agents=agents, rounds=1, blocks=blocks, cumulative=cumulative
    )
    parts = np.array_split(np.arange(agents), min(blocks, agents))
    expected = [part.tolist() for part in parts]
    if cumulative:
        expected = [list(chain(*expected[: i + 1])) for i in range(len(expected))]
    assert groups(make_plan(rule, agents)) == expected


@sizes
@cumulative_or_not
def test_no_row_names_an_agent_twice(agents, blocks, cumulative):
    """Else writing back a group would let one of the two entries undo the other."""
    rule = schedule.in_blocks(
        orders.random, num_agents=agents, rounds=EPOCHS, blocks=blocks, cumulative=cumulative
    )
    for row in np.asarray(make_plan(rule, agents).agents):
        assert len(set(row.tolist())) == len(row)


@cumulative_or_not
def test_blocks_follow_the_order(cumulative):
    rule = schedule.in_blocks(
        orders.greedy, num_agents=5, rounds=1, blocks=3, cumulative=cumulative
    )
    stages = groups(make_plan(rule, 5))  # the scores ascend: 4 is the greediest
    if cumulative:
        stages = [stages[0]] + [
            [agent for agent in after if agent not in before] for before, after in pairwise(stages)
        ]
    assert list(chain(*stages)) == [4, 3, 2, 1, 0]


def test_each_epoch_draws_its_own_order():
    rule = schedule.in_blocks(orders.random, num_agents=5, rounds=8, blocks=5, cumulative=False)
    rounds = rounds_of(make_plan(rule, 5))
    assert len({tuple(map(tuple, stages)) for stages in rounds}) > 4


def test_plans_can_be_made_under_jit():
    """The trainer compiles the whole iteration."""
    rule = schedule.in_blocks(orders.semi_greedy, num_agents=3, rounds=2, blocks=2, cumulative=True)
    compiled = jax.jit(rule)(jax.random.PRNGKey(1), jnp.arange(3.0))
    assert groups(compiled) == groups(make_plan(rule, 3, seed=1))
