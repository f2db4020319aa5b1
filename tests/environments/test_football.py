"""Football: features, mask and reward by hand, and real matches of the real engine."""

import numpy as np
import pytest

pytest.importorskip("gfootball", reason="gfootball is not installed")

from opspo.environments import check_id, make_env
from opspo.environments import football_features as features
from opspo.environments.football import Football, Match
from opspo.environments.tasks import FOOTBALL_SCENARIOS
from opspo.errors import ConfigError


def raw(**changes):
    """Two against one: our keeper and number 1, and their number 0; nobody has the ball."""
    seen = {
        "ball": np.array([0.1, 0.0, 0.2]),
        "ball_direction": np.array([0.003, 0.004, 0.0]),
        "ball_owned_team": -1,
        "ball_owned_player": -1,
        "left_team": np.array([[-1.0, 0.0], [0.1, 0.02], [0.3, -0.2]]),
        "left_team_direction": np.array([[0.0, 0.0], [0.003, 0.004], [0.0, 0.01]]),
        "left_team_tired_factor": np.array([0.0, 0.25, 0.5]),
        "left_team_roles": np.array([0, 5, 9]),
        "left_team_active": np.array([True, True, True]),
        "left_team_yellow_card": np.array([False, False, False]),
        "right_team": np.array([[0.5, 0.0]]),
        "right_team_direction": np.array([[-0.01, 0.0]]),
        "right_team_tired_factor": np.array([0.75]),
        "right_team_yellow_card": np.array([False]),
        "game_mode": 0,
        "score": [0, 0],
        "steps_left": 100,
    }
    return seen | changes


ACTIVE = np.array([1, 2])
STICKY = np.array([[0] * 10, [0, 0, 1, 0, 0, 0, 0, 0, 1, 1]])


def test_every_feature_is_where_it_should_be():
    sprints = STICKY * (np.arange(10) != 9)
    seen = features.observe(raw(ball_owned_team=0), ACTIVE, sprints)
    assert seen.shape == (2, features.observe_size(3, 1))
    one, other = seen
    np.testing.assert_allclose(one[:5], [0.1, 0.02, 0.3, 0.4, 0.5], rtol=1e-6)
    assert one[5:15].tolist() == [0, 0, 0, 0, 0, 1, 0, 0, 0, 0]
    # ball near, tiredness, neither dribbling nor sprinting; the other sprints and is far
    np.testing.assert_allclose(one[15:19], [0, 0.25, 0, 0])
    np.testing.assert_allclose(other[15:19], [1, 0.5, 0, 1])
    np.testing.assert_allclose(one[19:22], [0.1, 0, 0.2], rtol=1e-6)
    assert one[22:28].tolist() == [0, 0, 1, 0, 0, 0]
    np.testing.assert_allclose(one[28:30], [0, -0.02], atol=1e-7)
    np.testing.assert_allclose(one[30:34], [0.06, 0.08, 0, 0.1], atol=1e-7)
    np.testing.assert_allclose(one[34:37], [0.02, 1, 1], atol=1e-7)
    keeper = [-1, 0, 0, 0, 0, 2 * np.hypot(1.1, 0.02), 0]
    mate = [0.3, -0.2, 0, 1, 1, 2 * np.hypot(0.2, 0.22), 0.5]
    opponent = [0.5, 0, -1, 0, 1, 2 * np.hypot(0.4, 0.02), 0.75]
    np.testing.assert_allclose(one[37:51], keeper + mate, rtol=1e-5)
    np.testing.assert_allclose(one[51:58], mate, rtol=1e-5)
    np.testing.assert_allclose(one[58:], opponent + opponent, rtol=1e-5)
    # the second agent's team-mates are the keeper and the first
    np.testing.assert_allclose(other[37:39], [-1, 0])
    np.testing.assert_allclose(other[44:46], [0.1, 0.02], rtol=1e-6)


def test_teams_of_five_give_114():
    assert features.observe_size(5, 5) == 114


@pytest.mark.parametrize(
    ("ball", "zone"),
    [
        ((-0.9, 0.1), 0),
        ((-0.9, 0.3), 1),
        ((-0.3, 0.0), 1),
        ((0.0, 0.4), 2),
        ((-0.2, 0.0), 2),
        ((0.21, 0.0), 3),
        ((0.7, -0.3), 3),
        ((0.7, -0.2), 4),
        ((1.02, 0.0), 4),  # in their goal
        ((-1.02, 0.4), 1),
    ],
)
def test_the_pitch_has_five_zones(ball, zone):
    assert features.zone(np.array([*ball, 0.0])) == zone
    assert features.in_play(np.array(ball)) == (abs(ball[0]) <= 1)


NOBODY, OURS, THEIRS = -1, 0, 1
KICKS = [9, 10, 11, 12]


@pytest.mark.parametrize(
    ("owner", "near", "gone"),
    [
        (OURS, True, [16]),
        (NOBODY, True, [16]),
        (THEIRS, True, [*KICKS, 17]),
        (OURS, False, [*KICKS, 16, 17]),
        (THEIRS, False, [*KICKS, 16, 17]),
    ],
)
def test_the_mask_follows_the_ball(owner, near, gone):
    ball = np.array([0.1 if near else 0.2, 0.0, 0.0])
    mask = features.available_actions(
        raw(ball=ball, ball_owned_team=owner), ACTIVE[:1], STICKY[:1]
    )[0]
    # standing, not sprinting, not dribbling: nothing to release
    assert np.flatnonzero(~mask).tolist() == sorted([*gone, 14, 15, 18])


def test_what_is_on_can_only_be_released():
    mask = features.available_actions(raw(), ACTIVE, STICKY)[1]
    assert mask[[14, 15, 18]].all()
    assert not mask[[13, 17]].any()


def test_the_reward_term_by_term():
    def paid(after=None, before=None, had_ball=NOBODY, done=False):
        return features.reward(
            raw(**(before or {})), raw(**(after or {})), had_ball=had_ball, done=done
        )

    assert paid() == 0
    assert paid({"score": [1, 0]}) == 5
    assert paid({"score": [0, 1]}) == -5
    assert paid({"score": [3, 1]}, {"score": [3, 1]}, done=True) == 10
    assert paid({"score": [0, 2]}, {"score": [0, 2]}, done=True) == 0
    assert paid({"right_team_yellow_card": np.array([True])}) == 1
    assert paid({"left_team_yellow_card": np.array([True, False, False])}) == -1
    assert paid({"ball": np.array([0.9, 0, 0])}) == 2
    assert paid({"ball": np.array([-0.9, 0, 0])}, {"ball": np.array([0.3, 0, 0])}) == -3
    assert paid({"ball_owned_team": OURS}, had_ball=THEIRS) == pytest.approx(0.1)
    assert paid({"ball_owned_team": THEIRS}, had_ball=OURS) == pytest.approx(-0.1)
    assert paid({"ball_owned_team": OURS}, had_ball=OURS) == 0
    assert paid({"ball_owned_team": NOBODY}, had_ball=OURS) == 0


def play(match, seed, steps, rng_seed=0):
    rng, rows = np.random.default_rng(rng_seed), []
    seen, _ = match.reset(seed=seed)
    for _ in range(steps):
        action = np.array([rng.choice(np.flatnonzero(row)) for row in seen["available_actions"]])
        before = match.raw
        seen, reward, done, cut, info = match.step(action)
        rows.append((before, match.raw, seen, reward, done, cut, info))
        if done:
            seen, _ = match.reset()
    return rows


AGENTS = {
    "5_vs_5": 4,
    "academy_3_vs_1_with_keeper": 3,
    "academy_corner": 10,
    "academy_counterattack_easy": 10,
    "academy_counterattack_hard": 10,
    "academy_empty_goal": 1,
    "academy_empty_goal_close": 1,
    "academy_pass_and_shoot_with_keeper": 2,
    "academy_run_pass_and_shoot_with_keeper": 2,
    "academy_run_to_score": 1,
    "academy_run_to_score_with_keeper": 1,
    "academy_single_goal_versus_lazy": 10,
}


@pytest.mark.parametrize("name", FOOTBALL_SCENARIOS)
def test_every_scenario_plays(name):
    environment = make_env(f"football/{name}")
    spec, match = environment.spec, Match(environment)
    for _, raw, seen, reward, _, _, _ in play(match, 0, 5):
        for part, space in match.observation_space.items():
            assert seen[part].shape == space.shape, part
            assert np.isfinite(seen[part]).all()
        assert seen["available_actions"].any(axis=1).all()
        assert np.isfinite(reward)
        assert len(raw["left_team"]) == environment.left
    match.close()
    assert spec.num_agents == AGENTS[name]


def test_matches_of_the_academy_end_and_say_how():
    match = Match(make_env("football/academy_3_vs_1_with_keeper"))
    rows = play(match, 3, 500)
    match.close()
    ends = [row for row in rows if row[4]]
    assert len(ends) >= 3
    for _, raw, _, _, _, cut, info in ends:
        assert not cut  # a true end
        assert info["win"] == (raw["score"][0] > raw["score"][1])
        assert (info["goals_for"], info["goals_against"]) == tuple(raw["score"])
        assert 0 <= info["possession"] <= 1
    assert all(row[6] == {} for row in rows if not row[4])
    # two matches of one process are not the same
    lengths = np.diff([0, *[t for t, row in enumerate(rows) if row[4]]])
    assert len(set(lengths.tolist())) > 1


def test_the_same_seed_plays_the_same_match_and_another_another():
    def states(seed):
        match = Match(make_env("football/academy_3_vs_1_with_keeper"))
        match.reset(seed=seed)
        rows = [match.step(np.zeros(3, int))[0]["state"] for _ in range(12)]
        match.close()
        return np.stack(rows)

    np.testing.assert_array_equal(states(5), states(5))
    # more than two: their parity decides which team the engine moves first
    assert len({states(seed).tobytes() for seed in range(4)}) == 4


def test_a_match_is_won_by_more_goals_than_theirs():
    match = Match(make_env("football/academy_empty_goal_close"))
    match.raw, match._steps = {"score": [2, 1]}, np.array([3, 1])
    expected = {"win": True, "goals_for": 2, "goals_against": 1, "possession": 0.75}
    assert match._outcome() == expected
    match.raw = {"score": [1, 1]}
    assert not match._outcome()["win"]


def test_the_action_that_is_masked_does_nothing():
    """Releasing a sprint that is not on leaves the match as idling does."""

    def after(action):
        match = Match(make_env("football/academy_empty_goal_close"))
        seen, _ = match.reset(seed=0)
        assert not seen["available_actions"][0, features.RELEASE_SPRINT]
        for _ in range(5):
            seen = match.step(np.array([action]))[0]
        match.close()
        return seen["observation"]

    np.testing.assert_array_equal(after(features.IDLE), after(features.RELEASE_SPRINT))


@pytest.mark.parametrize("option", ["", ":simple115"])
def test_who_was_sent_off_is_dead_and_idles(option):
    """As the engine answers after a red card: the others are controlled, the last agent nobody."""
    match = Match(make_env(f"football/5_vs_5{option}"))
    match.reset(seed=0)
    answer = match._engine.observation()
    before = match._look(answer)
    answer[-1] = answer[-1] | {"active": -1, "sticky_actions": []}
    seen = match._look(answer)
    match.close()
    assert seen["alive"].tolist() == [1, 1, 1, 0]
    for part in ("observation", "available_actions"):
        np.testing.assert_array_equal(seen[part][:3], before[part][:3])
    assert not seen["observation"][3].any()
    assert np.flatnonzero(seen["available_actions"][3]).tolist() == [features.IDLE]
    # and one who is named but no longer on the pitch
    gone = answer[0]["active"]
    answer[0] = answer[0] | {"left_team_active": np.arange(5) != gone}
    assert match._look(answer)["alive"].tolist() == [0, 1, 1, 0]


def test_simple115_is_the_engines_own():
    environment = make_env("football/5_vs_5:simple115")
    match = Match(environment)
    seen, _ = match.reset(seed=0)
    match.close()
    assert seen["observation"].shape == (4, 115)
    # 2 numbers for each of 11, then of ours the directions: absent players are -1
    assert (seen["observation"][:, 10:22] == -1).all()
    assert environment.spec.state_size == make_env("football/5_vs_5").spec.state_size


def test_matches_run_in_processes_and_report_the_score():
    batch = Football("academy_empty_goal_close").open(2, 0)
    seen, ended = batch.reset(), 0
    rng = np.random.default_rng(0)
    for _ in range(150):
        action = [
            [rng.choice(np.flatnonzero(row)) for row in rows] for rows in seen.available_actions
        ]
        step, seen = batch.step(np.array(action))
        done = step.terminated
        ended += int(done.sum())
        assert (step.outcome["goals_for"][done] >= step.win[done]).all()
    batch.close()
    assert ended >= 2
    assert batch.lost_episodes == 0


@pytest.mark.parametrize(
    ("name", "mend"), [("academy_3_vs_2", "academy_corner"), ("5_vs_5:pixels", "simple115")]
)
def test_a_wrong_name_says_what_there_is(name, mend):
    with pytest.raises(ConfigError, match=mend):
        check_id(f"football/{name}")
