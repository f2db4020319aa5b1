"""What footballers see, may do and are paid for, from the engine's raw observation.

The sizes of A2PO's setting, in formulas of our own. Positions are the engine's: the pitch spans
x in [−1, 1], from our goal to theirs, and y in [−0.42, 0.42]. L players are in our team (keeper
included), R in theirs; N of ours are controlled.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

Raw = Mapping[str, Any]
"""The engine's observation; `active` and `sticky_actions` are those of one agent"""

NUM_ACTIONS = 19
IDLE, PASSES_AND_SHOT, SPRINT, RELEASE_DIRECTION = 0, slice(9, 13), 13, 14
RELEASE_SPRINT, SLIDE, DRIBBLE, RELEASE_DRIBBLE = 15, 16, 17, 18

NEAR = 0.03
"""Within this of the ball a player can play it"""
BOX_X, BOX_Y, MIDDLE_X = 0.64, 0.27, 0.2
"""Where a penalty area begins, its half width, and where the middle of the pitch ends"""
POTENTIAL = np.array([-2.0, -1.0, 0.0, 1.0, 2.0])
"""By zone: our penalty area, our third, the middle, their third, their penalty area"""
NUM_ROLES, NUM_MODES = 10, 7


def observe_size(left: int, right: int) -> int:
    """Features of one agent: 114 with teams of five."""
    return 19 + 18 + 7 * left + 7 * (right + 1)


def state_size(left: int, right: int) -> int:
    """Features of the global state."""
    return 3 + 3 + 6 + 6 * (left + right) + 1 + NUM_MODES + 2


def zone(ball: np.ndarray) -> int:
    """Of the ball's position, beyond a line that from which it left: 0 to 4, see `POTENTIAL`."""
    x, in_box = float(ball[0]), abs(float(ball[1])) < BOX_Y and abs(float(ball[0])) > BOX_X
    side = 0 if abs(x) <= MIDDLE_X else (2 if in_box else 1)
    return 2 + (side if x > 0 else -side)


def in_play(ball: np.ndarray) -> bool:
    """Whether the ball is over the pitch."""
    return bool(abs(ball[0]) <= 1 and abs(ball[1]) <= 0.42)


def observe(raw: Raw, active: np.ndarray, sticky: np.ndarray) -> np.ndarray:
    """Each agent's features.

    Args:
        raw: the engine's observation.
        active: [N] int, whom each agent controls; no one twice, nobody who was sent off.
        sticky: [N, 10] the engine's sticky actions: eight directions, sprint, dribble.

    Returns:
        [N, 19 + 18 + 7 L + 7 (R + 1)]: the player (position 2, direction × 100 2, speed × 100,
        role 10, ball is far, tiredness, dribbling, sprinting); the ball (position 3, zone or out
        of play 6, seen from the player 2, direction × 20 3, speed × 20, distance, owned, owned by
        us); then for each team-mate, the closest one, each opponent and the closest one: position
        2, direction × 100 2, speed × 100, distance × 2, tiredness.
    """
    ball, ball_direction = np.asarray(raw["ball"]), np.asarray(raw["ball_direction"])
    position, direction = raw["left_team"][active], raw["left_team_direction"][active] * 100
    relative = ball[None, :2] - position
    distance = np.linalg.norm(relative, axis=1, keepdims=True)
    tired = raw["left_team_tired_factor"][active][:, None]
    role = np.eye(NUM_ROLES)[raw["left_team_roles"][active]]
    speed = np.linalg.norm(direction, axis=1, keepdims=True)
    far = distance > NEAR
    player = [position, direction, speed, role, far, tired, sticky[:, 9:], sticky[:, 8:9]]

    owner = raw["ball_owned_team"]
    common = np.concatenate([ball, np.eye(6)[zone(ball) if in_play(ball) else 5]])
    moves = np.append(ball_direction * 20, np.linalg.norm(ball_direction) * 20)
    owned = np.array([owner != -1, owner == 0])
    agents = len(active)
    of_ball = [_each(common, agents), relative, _each(moves, agents), distance]

    mates = _others(raw, "left_team", position)
    not_me = np.arange(mates.shape[1])[None] != active[:, None]
    mates = mates[not_me].reshape(agents, -1, 7)
    opponents = _others(raw, "right_team", position)
    rows = [*player, *of_ball, _each(owned, agents)]
    for group in (mates, opponents):
        rows += [group.reshape(agents, -1), _closest(group)]
    return np.concatenate(rows, axis=1).astype(np.float32)


def _each(row: np.ndarray, agents: int) -> np.ndarray:
    return np.broadcast_to(row, (agents, len(row)))


def _others(raw: Raw, team: str, position: np.ndarray) -> np.ndarray:
    """A team as each agent at `position` [N, 2] sees it: [N, players, 7]."""
    where, direction = raw[team], raw[f"{team}_direction"] * 100
    speed, tired = np.linalg.norm(direction, axis=1), raw[f"{team}_tired_factor"]
    fixed = np.concatenate([where, direction, speed[:, None]], axis=1)
    distance = 2 * np.linalg.norm(where[None] - position[:, None], axis=-1, keepdims=True)
    shape = (len(position), *fixed.shape)
    tired = np.broadcast_to(tired[None, :, None], distance.shape)
    return np.concatenate([np.broadcast_to(fixed, shape), distance, tired], axis=-1)


def _closest(group: np.ndarray) -> np.ndarray:
    """[N, players, 7] → [N, 7]; zeros where there is nobody."""
    if not group.shape[1]:
        return np.zeros((len(group), 7))
    return group[np.arange(len(group)), group[..., 5].argmin(axis=1)]


def whole_pitch(raw: Raw, duration: int) -> np.ndarray:
    """The global state [3 + 3 + 6 + 6 (L + R) + 1 + 7 + 2].

    Ball (position, direction × 20, zone or out of play), every player (position, direction × 100,
    tiredness, has the ball), whether nobody has it, game mode, goal difference, share of time left.
    """
    ball, owner = np.asarray(raw["ball"]), raw["ball_owned_team"]
    rows = [ball, np.asarray(raw["ball_direction"]) * 20]
    rows.append(np.eye(6)[zone(ball) if in_play(ball) else 5])
    for index, team in enumerate(("left_team", "right_team")):
        has_ball = np.arange(len(raw[team])) == raw["ball_owned_player"]
        columns = [raw[team], raw[f"{team}_direction"] * 100, raw[f"{team}_tired_factor"][:, None]]
        columns.append((has_ball & (owner == index))[:, None])
        rows.append(np.concatenate(columns, axis=1).reshape(-1))
    goals = raw["score"][0] - raw["score"][1]
    rows += [np.array([owner == -1]), np.eye(NUM_MODES)[raw["game_mode"]]]
    rows.append(np.array([goals, raw["steps_left"] / duration]))
    return np.concatenate(rows).astype(np.float32)


def available_actions(raw: Raw, active: np.ndarray, sticky: np.ndarray) -> np.ndarray:
    """Which of the 19 actions do something, [N, 19] bool; idling and running are always there.

    Passes, the shot and the dribble need the ball near and not in their possession; sliding needs
    an opponent who has it nearby; what is on can only be released, and the other way round.
    """
    ball = np.asarray(raw["ball"])[None, :2]
    near = np.linalg.norm(ball - raw["left_team"][active], axis=1) <= NEAR
    theirs = raw["ball_owned_team"] == 1
    runs, sprints, dribbles = sticky[:, :8].any(axis=1), sticky[:, 8] > 0, sticky[:, 9] > 0
    mask = np.ones((len(active), NUM_ACTIONS), bool)
    mask[:, PASSES_AND_SHOT] = (near & (not theirs))[:, None]
    mask[:, DRIBBLE] = near & (not theirs) & ~dribbles
    mask[:, RELEASE_DRIBBLE] = dribbles
    mask[:, SLIDE] = near & theirs
    mask[:, SPRINT], mask[:, RELEASE_SPRINT] = ~sprints, sprints
    mask[:, RELEASE_DIRECTION] = runs
    return mask


def reward(before: Raw, after: Raw, *, had_ball: int, done: bool) -> float:
    """The team's shaped reward for a step.

    Goals × 5, a final lead × 5, yellow cards of theirs less ours, the change of the ball zone's
    `POTENTIAL`, and 0.1 for possession won or lost.

    Args:
        before: the engine's observation before the step.
        after: that after it.
        had_ball: the team that last had the ball before the step: 0 ours, 1 theirs, −1 nobody yet.
        done: the match ended.
    """
    lead_before, lead = (raw["score"][0] - raw["score"][1] for raw in (before, after))
    total = 5.0 * (lead - lead_before) + (5.0 * max(lead, 0) if done else 0.0)
    total += _cards(after) - _cards(before)
    total += POTENTIAL[zone(after["ball"])] - POTENTIAL[zone(before["ball"])]
    has_ball = after["ball_owned_team"]
    if -1 not in (had_ball, has_ball) and had_ball != has_ball:
        total += 0.1 if has_ball == 0 else -0.1
    return float(total)


def _cards(raw: Raw) -> float:
    return float(np.sum(raw["right_team_yellow_card"]) - np.sum(raw["left_team_yellow_card"]))
