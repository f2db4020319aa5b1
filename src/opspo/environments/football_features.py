"""Football's observations, action masks and rewards, from the engine's raw observation.

The sizes are those of A2PO's setting; the formulas are our own. Positions are the engine's: the
pitch spans x in [−1, 1], from our goal to theirs, and y in [−0.42, 0.42]. Our team has L players
(keeper included), theirs has R; N of ours are controlled.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

Raw = Mapping[str, Any]
"""The engine's observation for one agent, whose `active` and `sticky_actions` it contains"""

NUM_ACTIONS = 19
IDLE, PASSES_AND_SHOT, SPRINT, RELEASE_DIRECTION = 0, slice(9, 13), 13, 14
RELEASE_SPRINT, SLIDE, DRIBBLE, RELEASE_DRIBBLE = 15, 16, 17, 18

NEAR = 0.03
"""Largest distance from the ball at which a player can play it"""
BOX_X, BOX_Y, MIDDLE_X = 0.64, 0.27, 0.2
"""|x| where a penalty area begins, its half-width in y, and |x| where midfield ends"""
POTENTIAL = np.array([-2.0, -1.0, 0.0, 1.0, 2.0])
"""By zone: our penalty area, our third, midfield, their third, their penalty area"""
NUM_ROLES, NUM_MODES = 10, 7


def observe_size(left: int, right: int) -> int:
    """Number of features that one agent observes: 114 with teams of five."""
    return 19 + 18 + 7 * left + 7 * (right + 1)


def state_size(left: int, right: int) -> int:
    """Number of features in the global state."""
    return 3 + 3 + 6 + 6 * (left + right) + 1 + NUM_MODES + 2


def zone(ball: np.ndarray) -> int:
    """The ball's zone, 0 to 4 (see `POTENTIAL`); out of play, that of the side it left on.

    Args:
        ball: [2] or [3], the ball's position.
    """
    x, in_box = float(ball[0]), abs(float(ball[1])) < BOX_Y and abs(float(ball[0])) > BOX_X
    side = 0 if abs(x) <= MIDDLE_X else (2 if in_box else 1)
    return 2 + (side if x > 0 else -side)


def in_play(ball: np.ndarray) -> bool:
    """Whether the ball, at position [2] or [3], is over the pitch."""
    return bool(abs(ball[0]) <= 1 and abs(ball[1]) <= 0.42)


def observe(raw: Raw, active: np.ndarray, sticky: np.ndarray) -> np.ndarray:
    """Each agent's observation.

    Args:
        raw: the engine's observation.
        active: [N] int, the player each agent controls; all different, none sent off.
        sticky: [N, 10] the engine's sticky actions: eight directions, sprint, dribble.

    Returns:
        [N, 19 + 18 + 7 L + 7 (R + 1)] float32. The player: position (2), direction × 100 (2),
        speed × 100, role (10), whether the ball is far, tiredness, dribbling, sprinting. The ball:
        position (3), zone or out of play (6), relative to the player (2), direction × 20 (3),
        speed × 20, distance, whether anyone owns it, whether we do. Then each team-mate, the
        closest one, each opponent and the closest one: position (2), direction × 100 (2),
        speed × 100, distance × 2, tiredness.
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
    """A team as seen by each agent at `position` [N, 2]: [N, players, 7]."""
    where, direction = raw[team], raw[f"{team}_direction"] * 100
    speed, tired = np.linalg.norm(direction, axis=1), raw[f"{team}_tired_factor"]
    fixed = np.concatenate([where, direction, speed[:, None]], axis=1)
    distance = 2 * np.linalg.norm(where[None] - position[:, None], axis=-1, keepdims=True)
    shape = (len(position), *fixed.shape)
    tired = np.broadcast_to(tired[None, :, None], distance.shape)
    return np.concatenate([np.broadcast_to(fixed, shape), distance, tired], axis=-1)


def _closest(group: np.ndarray) -> np.ndarray:
    """The closest player, [N, players, 7] → [N, 7]; zeros if there are no players."""
    if not group.shape[1]:
        return np.zeros((len(group), 7))
    return group[np.arange(len(group)), group[..., 5].argmin(axis=1)]


def whole_pitch(raw: Raw, duration: int) -> np.ndarray:
    """The global state, float32 [3 + 3 + 6 + 6 (L + R) + 1 + 7 + 2].

    The ball (position, direction × 20, zone or out of play), every player (position, direction ×
    100, tiredness, whether it has the ball), whether nobody has the ball, game mode, goal
    difference, and the fraction of time left.

    Args:
        raw: the engine's observation.
        duration: steps in a match.
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
    """Which of the 19 actions have an effect, [N, 19] bool; idling and running always do.

    Passes, the shot and dribbling need the ball to be near and not in the opponents' possession;
    sliding needs it near and in theirs. An action that is on can only be released, and vice versa.

    Args:
        raw: the engine's observation.
        active: [N] int, the player each agent controls.
        sticky: [N, 10] the engine's sticky actions.
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

    The sum of: 5 × the change in goal difference; 5 × the lead at the end, if positive; their new
    yellow cards minus ours; the change in the ball zone's `POTENTIAL`; +0.1 for winning possession
    or −0.1 for losing it.

    Args:
        before: the engine's observation before the step.
        after: the one after it.
        had_ball: the last team to have the ball before the step: 0 ours, 1 theirs, −1 none yet.
        done: whether the match ended.
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
