"""Films of episodes: what is drawn, that it is the episode played, and the files."""

import dataclasses
import os
import subprocess
import sys
from itertools import pairwise

import imageio.v3 as imageio
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hosts import Batch, OnHost
from PIL import Image
from small import small_config

import opspo
from opspo.cli import main
from opspo.config import PolicyConfig
from opspo.environments import make_env
from opspo.environments.base import Step
from opspo.errors import ConfigError
from opspo.evaluate import make_evaluator
from opspo.policies.team import make_team
from opspo.policy import Policy
from opspo.rendering.canvas import ALLY, ENEMY, Canvas
from opspo.rendering.caption import HEIGHT as STRIP
from opspo.rendering.caption import captioned
from opspo.rendering.football import OWNER, draw
from opspo.rendering.record import END, NOT_WON, STOPPED, WON, Episode, Shot, Tally
from opspo.rendering.renderers import renderer_of
from opspo.rendering.smax import _OUTLINES, HEALING, LEGEND, Painter
from opspo.rendering.write import HOLD_SECONDS, write
from opspo.training.evaluate_run import evaluate_run


def policy_of(environment):
    """Untrained."""
    team = make_team(PolicyConfig(hidden_sizes=(8,)), environment.spec)
    return Policy(team, team.init(jax.random.PRNGKey(0)), environment.spec)


def film(environment, *, seed=0, greedy=False, max_steps=0):
    policy = policy_of(environment)
    episode = Episode(seed, greedy, 10_000, max_steps)
    return list(renderer_of(environment).record(environment, policy, episode))


def evaluated(environment, seed=0):
    """The same episode, by `opspo eval`."""
    policy = policy_of(environment)
    evaluator = make_evaluator(environment, policy.team, episodes=1, greedy=False)
    return evaluator(policy.params, seed)


def assert_same_episode(shots, evaluation):
    last = shots[-1].tally
    assert last.step == len(shots) - 1 == evaluation.lengths[0]
    assert last.total == pytest.approx(evaluation.returns[0], rel=1e-5)
    assert all(not shot.tally.ending for shot in shots[:-1])
    assert len({shot.picture.size for shot in shots}) == 1


def colours(picture):
    return {colour for _, colour in picture.getcolors(picture.width * picture.height)}


# SMAX


@pytest.fixture(scope="module")
def smax():
    return make_env("smax/3m")


@pytest.fixture(scope="module")
def battle(smax):
    return film(smax)


def test_the_film_of_smax_is_the_episode_that_eval_plays(smax, battle):
    evaluation = evaluated(smax)
    assert_same_episode(battle, evaluation)
    assert battle[-1].tally.ending == (WON if evaluation.wins[0] else NOT_WON)
    assert film(smax, seed=1)[-1].tally != battle[-1].tally


def test_it_can_stop_early(smax, battle):
    short = film(smax, max_steps=3)
    assert [shot.tally.step for shot in short] == [0, 1, 2, 3]
    assert short[-1].tally.ending == STOPPED
    assert short[2].tally == battle[2].tally


def states_of(environment, steps=40):
    """Random play, in which both sides come to shoot."""
    reset, step = jax.jit(environment.reset), jax.jit(environment.step)
    key = jax.random.PRNGKey(0)
    state, seen = reset(key)
    states = [jax.device_get(state)]
    for t in range(steps):
        key_t = jax.random.fold_in(key, t)
        available = np.array(seen.available_actions)
        # shoot or heal where it can be, else go to the right
        action = np.where(available[:, 5:].any(1), 5 + available[:, 5:].argmax(1), 1)
        action = np.where(available[:, 0], action, 4)
        state, out = step(key_t, state, jnp.array(action))
        states.append(jax.device_get(state))
        if bool(out.terminated):
            break
        seen = out.observation
    return states


@pytest.mark.parametrize("name", ["3m", "MMM2"])
def test_who_fires_is_who_does_harm(name):
    environment = make_env(f"smax/{name}")
    states = states_of(environment)
    painter = Painter(environment, states)
    fired = 0
    for before, after in pairwise(states):
        acts = painter.acts(after.state, before.state)
        shot = {act.target for act in acts if act.fires and not act.heals}
        healed = {act.target for act in acts if act.heals}
        hurt = np.flatnonzero(after.state.unit_health < before.state.unit_health - 1e-3)
        better = np.flatnonzero(after.state.unit_health > before.state.unit_health + 1e-3)
        assert set(hurt) <= shot and set(better) <= healed
        assert shot <= set(hurt) | healed
        fired += len(shot)
        teams = after.state.unit_teams
        for act in acts:
            assert (teams[act.unit] == teams[act.target]) == act.heals
    assert fired > 5


@pytest.fixture(scope="module")
def duel():
    """A marine of each side on MMM2 in range of one another, and each side's medivac."""
    environment = make_env("smax/MMM2")
    state, _ = environment.reset(jax.random.PRNGKey(0))
    units = jax.device_get(state.state)
    n = len(units.unit_alive)
    places = np.stack([np.arange(n) * 1.4 + 1, np.full(n, 28.0)], axis=1)
    marine, enemy, medivac = 4, 10 + 3, 9
    places[[marine, enemy, medivac]] = [[10, 10], [14, 10], [10, 14]]
    return environment, units.replace(unit_positions=places), (marine, enemy, medivac)


def test_everybody_stays_in_the_picture(smax):
    states = states_of(smax)
    painter = Painter(smax, states)
    width, height = painter.picture(states[0].state, None).size
    for state in states:
        for position in state.state.unit_positions:
            x, y = painter._place(position)
            assert 10 < x < width - 10 and LEGEND + 10 < y < height - 10


def picture_of_duel(duel, unit=None, slot=0, *, rests=False):
    """The picture after `unit` chose an attack action; None: nobody did."""
    environment, units, _ = duel
    chosen, rest = np.zeros(len(units.unit_alive), int), np.full(len(units.unit_alive), -1.0)
    if unit is not None:
        chosen[unit] = 5 + slot
        rest[unit] = -1.5 if rests else 0.6
    after = units.replace(prev_attack_actions=chosen, unit_weapon_cooldowns=rest)
    before = units.replace(unit_weapon_cooldowns=np.full(len(rest), -1.0))
    start = environment.reset(jax.random.PRNGKey(0))[0]
    painter = Painter(environment, [start.replace(state=after)])
    middle = {
        name: tuple(np.mean([painter._place(units.unit_positions[u]) for u in pair], axis=0))
        for name, pair in (("foe", (4, 13)), ("patient", (4, 9)))
    }
    return painter.picture(after, before), middle


def around(picture, place):
    x, y = (round(v) for v in place)
    return np.asarray(picture)[y - 4 : y + 5, x - 4 : x + 5].reshape(-1, 3).astype(int)


def test_a_line_shows_who_attacks_whom_and_only_then(duel):
    marine, enemy, medivac = duel[2]
    nothing, middle = picture_of_duel(duel)
    quiet = around(nothing, middle["foe"])
    assert quiet.max() < 90  # the floor and its grid

    shot, _ = picture_of_duel(duel, marine, slot=enemy - 10)
    line = around(shot, middle["foe"])
    assert line[:, 2].max() > 180 > line[:, 0].max()  # blue
    answered, _ = picture_of_duel(duel, enemy, slot=9 - marine)
    line = around(answered, middle["foe"])
    assert line[:, 0].max() > 180 > line[:, 2].max()  # red
    aimed, _ = picture_of_duel(duel, marine, slot=enemy - 10, rests=True)
    assert quiet.max() < around(aimed, middle["foe"]).max() < 180

    healed, _ = picture_of_duel(duel, medivac, slot=marine)
    assert tuple(HEALING) in {tuple(pixel) for pixel in around(healed, middle["patient"])}
    assert around(healed, middle["foe"]).max() < 90
    for picture in (nothing, answered, shot):
        assert around(picture, middle["patient"]).max() < 90


def test_the_dead_are_faint_and_the_hurt_have_shorter_bars(duel):
    environment, units, (marine, *_) = duel
    start = environment.reset(jax.random.PRNGKey(0))[0]
    painter = Painter(environment, [start.replace(state=units)])
    place = painter._place(units.unit_positions[marine])

    def look(**changes):
        changed = {
            name: np.where(np.arange(len(units.unit_alive)) == marine, value, getattr(units, name))
            for name, value in changes.items()
        }
        return painter.picture(units.replace(**changed), None)

    assert ALLY in {tuple(pixel) for pixel in around(look(), place)}
    dead = look(unit_alive=False, unit_health=0.0)
    assert ALLY not in {tuple(pixel) for pixel in around(dead, place)}
    assert around(dead, place).max() > 60  # a cross is left

    def green(picture):
        x, y = (int(v) for v in place)
        above = np.asarray(picture)[y - 30 : y, x - 30 : x + 30].astype(int)
        return ((above[..., 1] - above[..., 0] > 60) & (above[..., 1] - above[..., 2] > 60)).sum()

    assert green(look()) > green(look(unit_health=30.0)) > green(look(unit_health=5.0)) == 0


def test_every_type_of_unit_has_an_outline_of_its_own(smax):
    start, _ = smax.reset(jax.random.PRNGKey(0))
    units = jax.device_get(start.state)
    painter = Painter(smax, [start])
    same = [painter.picture(units.replace(unit_types=np.full(6, t)), None) for t in range(6)]
    assert len({picture.tobytes() for picture in same}) == 6
    assert len(set(_OUTLINES.values())) == len(_OUTLINES) == 7
    every = painter.picture(units.replace(unit_types=np.arange(6)), None)
    assert {ALLY, ENEMY} <= colours(every)


# Captions and files


@pytest.mark.parametrize(
    ("terminated", "truncated", "win", "has_win", "ending"),
    [
        (True, False, True, True, WON),
        (True, False, False, True, NOT_WON),
        (False, True, False, True, NOT_WON),
        (True, False, False, False, END),
        (False, True, False, False, END),
        (False, False, False, True, ""),
    ],
)
def test_how_an_episode_ended(terminated, truncated, win, has_win, ending):
    for shape in ((), (1,)):  # in JAX and in a batch of one
        flags = (np.full(shape, flag) for flag in (terminated, truncated, win))
        step = Step(None, np.full(shape, 0.5), *flags)
        spec = dataclasses.replace(make_env("probe/credit").spec, has_win=has_win)
        episode = Episode(seed=0, greedy=True, limit=4)
        assert Tally(2, 1.0).after(step, spec, episode) == Tally(3, 1.5, ending)


def shot_of(step=0, total=0.0, ending="", size=(640, 400)):
    return Shot(Canvas(*size).picture(), Tally(step, total, ending))


def test_the_caption_says_step_return_and_end():
    plain = captioned(shot_of(3, 1.5), "smax/3m")
    assert plain.size == (640, 400 + STRIP)
    different = [shot_of(4, 1.5), shot_of(3, 1.25), shot_of(3, 1.5, WON)]
    pictures = [plain, *(captioned(shot, "smax/3m") for shot in different)]
    pictures.append(captioned(shot_of(3, 1.5), "smax/8m"))
    assert len({picture.tobytes() for picture in pictures}) == len(pictures)
    badges = [captioned(shot_of(3, 1.5, e), "x") for e in (WON, NOT_WON, END, STOPPED)]
    assert len({badge.tobytes() for badge in badges}) == 4


def test_small_pictures_grow_sides_are_even_and_long_names_are_cut():
    assert captioned(shot_of(size=(7, 5)), "x").size == (406, 58 * 5 + STRIP)
    assert captioned(shot_of(size=(501, 301)), "x").size == (502, 302 + STRIP)
    longer = [captioned(shot_of(), "mamujoco/HumanoidStandup" * n) for n in (3, 9)]
    assert longer[0].tobytes() == longer[1].tobytes()


def pictures(count):
    return [captioned(shot_of(step, step / 7), "smax/3m") for step in range(count)]


def test_a_gif_has_a_frame_for_each_state_and_holds_the_last(tmp_path):
    write(tmp_path / "film.GIF", iter(pictures(6)), 20)
    with Image.open(tmp_path / "film.GIF") as gif:
        assert (gif.n_frames, gif.size, gif.info["loop"]) == (6, (640, 400 + STRIP), 0)
        durations, frames = [], []
        for frame in range(6):
            gif.seek(frame)
            durations.append(gif.info["duration"])
            frames.append(gif.convert("RGB").tobytes())
    assert durations == [50] * 5 + [HOLD_SECONDS * 1000]
    assert len(set(frames)) == 6


@pytest.mark.filterwarnings("ignore:os.fork")  # of imageio, which reads
def test_an_mp4_opens_and_holds_the_last(tmp_path):
    write(tmp_path / "film.mp4", iter(pictures(6)), 20)
    frames = imageio.imread(tmp_path / "film.mp4", plugin="FFMPEG")
    assert frames.shape == (6 + 20 * HOLD_SECONDS, 400 + STRIP, 640, 3)
    assert imageio.immeta(tmp_path / "film.mp4", plugin="FFMPEG")["fps"] == 20
    apart = np.abs(frames[-1].astype(int) - frames[5]).mean()
    assert apart < 1 < np.abs(frames[0].astype(int) - frames[5]).max()


def test_an_mp4_that_cannot_be_written_says_why(tmp_path):
    (tmp_path / "film.mp4").mkdir()
    with pytest.raises(ConfigError, match=r"film.mp4 cannot be written: .*directory"):
        write(tmp_path / "film.mp4", iter(pictures(2)), 20)


# From a run folder


class Lit:
    """A probe with a picture: the coordination game's clock."""

    def __init__(self):
        self.inner = make_env("probe/credit")
        self.spec = dataclasses.replace(self.inner.spec, name="own/lit")
        self.reset, self.step = self.inner.reset, self.inner.step

    def frame(self, state):
        return np.full((30, 40, 3), 20 * int(state["t"]), np.uint8)


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory):
    path = tmp_path_factory.mktemp("watch") / "run"
    config = dataclasses.replace(small_config("probe/credit"), total_steps=256, run_dir=str(path))
    opspo.train(config)
    return path


def test_an_environment_of_your_own_with_a_frame(run_dir, tmp_path):
    tally = opspo.watch(run_dir, tmp_path / "a.gif", environment=Lit(), fps=5)
    evaluation = evaluate_run(run_dir, episodes=1, seed=0)
    assert (tally.step, tally.ending) == (evaluation.lengths[0], END)
    assert tally.total == pytest.approx(evaluation.returns[0])
    with Image.open(tmp_path / "a.gif") as gif:
        assert gif.n_frames == tally.step + 1
        assert gif.info["duration"] == 200
        for frame in range(3):
            gif.seek(frame)
            assert gif.convert("RGB").getpixel((5, 5)) == (20 * frame,) * 3
    opspo.watch(run_dir, tmp_path / "b.gif", environment=Lit(), fps=5)
    assert (tmp_path / "a.gif").read_bytes() == (tmp_path / "b.gif").read_bytes()


def test_the_same_command_gives_the_same_video(run_dir, tmp_path):
    for name in ("a", "b"):
        opspo.watch(run_dir, tmp_path / f"{name}.mp4", environment=Lit(), greedy=False, seed=3)
    assert (tmp_path / "a.mp4").read_bytes() == (tmp_path / "b.mp4").read_bytes()


def test_a_frame_that_is_no_picture_is_an_error(run_dir, tmp_path):
    lit = Lit()
    lit.frame = lambda state: np.zeros((30, 40))
    with pytest.raises(ConfigError, match=r"uint8 \[height, width, 3\], but is float64 \[30, 40\]"):
        opspo.watch(run_dir, tmp_path / "a.gif", environment=lit)
    assert not list(tmp_path.iterdir())


class LitHost(OnHost):
    """A host environment whose batch has a picture."""

    def open(self, num_envs, seed):
        batch = LitBatch(self.inner, num_envs, seed)
        self.opened.append(batch)
        return batch


class LitBatch(Batch):
    shown = 0

    def step(self, action):
        self.shown += 1
        return super().step(action)

    def frame(self):
        return np.full((30, 40, 3), 20 * self.shown, np.uint8)


def test_a_host_environment_of_your_own_with_a_frame():
    environment = LitHost("credit")
    shots = film(environment)
    assert_same_episode(shots, evaluated(LitHost("credit")))
    assert [shot.picture.getpixel((0, 0))[0] for shot in shots[:3]] == [0, 20, 40]
    assert environment.opened[0].closed


@pytest.mark.parametrize("environment", [make_env("probe/credit"), OnHost("credit")])
def test_what_has_no_picture_says_so(environment):
    with pytest.raises(ConfigError, match=r"probe/credit has no picture.*smax/….*docs/watch.md"):
        film(environment)


def test_the_command(run_dir, tmp_path, monkeypatch, capsys):
    """It passes everything on; what it films is tested above."""
    seen = {}

    def watch(*given, **named):
        seen.update(named, given=given)
        return Tally(7, 1.234, WON)

    monkeypatch.setattr("opspo.rendering.film.watch", watch)
    flags = "--seed 3 --checkpoint 2 --no-greedy --max-steps 9 --fps 4"
    main(["watch", "--run-dir", "r", "--out", "a.mp4", *flags.split()])
    assert capsys.readouterr().out == "a.mp4: 7 steps, return 1.23, won\n"
    settings = {"seed": 3, "checkpoint": 2, "greedy": False, "max_steps": 9, "fps": 4}
    assert seen == settings | {"given": ("r", "a.mp4")}


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        ("--out film.avi", ".gif or .mp4, the formats of a film, but is 'film.avi'"),
        ("--out nowhere/film.gif", "there is no folder nowhere"),
        ("--fps 90", "fps must be from 1 to 60"),
        ("--max-steps -1", "max-steps must be 0"),
        ("--seed -1", "seed must be from 0"),
        ("--checkpoint lates", "Did you mean 'latest'"),
        ("--checkpoint 99", "99"),
        ("", "probe/credit has no picture"),
        ("--run-dir nowhere", "not a run folder"),
    ],
)
def test_bad_input_exits_2_and_writes_nothing(flags, says, run_dir, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as stop:
        main(["watch", "--run-dir", str(run_dir), *flags.split()])
    assert stop.value.code == 2
    assert says in " ".join(capsys.readouterr().err.replace("│", " ").split())
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("missing", "out"), [("PIL", "a.gif"), ("imageio_ffmpeg", "a.mp4")])
def test_what_is_not_installed_is_named_with_its_command(missing, out, tmp_path, monkeypatch):
    from importlib.util import find_spec

    for module in ("opspo.rendering.film", "opspo.rendering.write"):
        monkeypatch.setattr(
            f"{module}.find_spec", lambda name: None if name == missing else find_spec(name)
        )
    with pytest.raises(ConfigError, match=r"pip install 'opspo\[watch\]'"):
        opspo.watch("run", tmp_path / out)


# MuJoCo


@pytest.fixture(scope="module")
def hopper():
    """A whole episode of a robot that falls soon."""
    environment = make_env("mamujoco/Hopper-3x1")
    try:
        return environment, film(environment)
    except ConfigError as error:
        assert "apt-get install" in str(error)
        pytest.skip(str(error))


def test_the_film_of_a_robot_is_the_episode_that_eval_plays(hopper):
    environment, shots = hopper
    assert_same_episode(shots, evaluated(environment))
    assert shots[-1].tally.ending == END
    assert film(environment, max_steps=2)[2].picture.tobytes() == shots[2].picture.tobytes()


def test_its_pictures_are_of_that_episode_to_the_end(hopper):
    """The last is not of the episode that the engine starts next."""
    first, *_, last_but_one, last = (np.asarray(s.picture).astype(int) for s in hopper[1])
    assert first.shape == (480, 480, 3) and first.std() > 20
    assert 0 < np.abs(last - last_but_one).mean() < np.abs(last - first).mean() / 3


def test_without_a_renderer_the_error_says_what_to_install():
    """In a process of its own: what is loaded once stays."""
    code = (
        "from test_watch import film, make_env\n"
        "from opspo.errors import ConfigError\n"
        "try: film(make_env('mamujoco/Hopper-3x1'))\n"
        "except ConfigError as error: print(error)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ
        | {"PYTHONPATH": os.pathsep.join(sys.path), "__EGL_VENDOR_LIBRARY_DIRS": "/nowhere"},
    )
    assert "apt-get install libegl-mesa0" in done.stdout, done.stderr


# Football


def raw(**changes):
    """Two against two, as the engine's documentation has it."""
    sides = {
        f"{side}_team{name}": value
        for side in ("left", "right")
        for name, value in (
            ("_direction", np.zeros((3, 2))),
            ("_active", np.ones(3, bool)),
            ("_roles", np.array([0, 5, 9])),
        )
    }
    return sides | {
        "left_team": np.array([[-0.9, 0.0], [-0.3, 0.2], [0.5, -0.3]]),
        "right_team": np.array([[0.9, 0.0], [0.3, 0.2], [0.6, 0.1]]),
        "ball": np.array([0.0, 0.0, 0.11]),
        "ball_owned_team": -1,
        "ball_owned_player": -1,
        "score": [0, 0],
        "game_mode": 0,
        "steps_left": 100,
        **changes,
    }


def near(picture, position, reach=15):
    from opspo.rendering.football import _place

    x, y = (round(v) for v in _place(position))
    part = picture.crop((x - reach, y - reach, x + reach, y + reach))
    return colours(part)


def test_the_pitch_shows_players_ball_and_score():
    picture = draw(raw(), controlled=[2])
    assert ALLY in near(picture, (-0.3, 0.2)) and ENEMY in near(picture, (0.3, 0.2))
    assert ALLY not in near(picture, (-0.9, 0.0))  # the keeper is darker
    white = (255, 255, 255)
    assert white in near(picture, (0, 0), 3) and white not in near(picture, (0.2, -0.2), 3)
    others = [
        draw(raw()),  # nobody controlled
        draw(raw(score=[1, 0]), [2]),
        draw(raw(steps_left=99), [2]),
        draw(raw(game_mode=4), [2]),
        draw(raw(ball=np.array([0.0, 0.0, 3.0])), [2]),
        draw(raw(left_team_direction=np.full((3, 2), 0.01)), [2]),
    ]
    assert len({p.tobytes() for p in [picture, *others]}) == 7
    assert {p.size for p in others} == {picture.size}


def test_the_owner_of_the_ball_has_a_ring_and_who_is_sent_off_is_gone():
    owned = draw(raw(ball_owned_team=1, ball_owned_player=2))
    assert OWNER in near(owned, (0.6, 0.1)) and OWNER not in near(owned, (0.5, -0.3))
    assert OWNER not in colours(draw(raw()))
    gone = draw(raw(right_team_active=np.array([True, False, True])))
    assert ENEMY not in near(gone, (0.3, 0.2)) and ENEMY in near(gone, (0.6, 0.1))


def test_the_pitch_lies_as_the_engine_has_it():
    """Left is left, and a positive y is below."""
    from opspo.rendering.football import _place

    assert _place((-1, 0))[0] < _place((1, 0))[0] and _place((0, -0.4))[1] < _place((0, 0.4))[1]


def test_the_film_of_a_match_is_the_episode_that_eval_plays():
    pytest.importorskip("gfootball", reason="football is not installed")
    environment = make_env("football/academy_empty_goal_close")
    shots = film(environment)
    assert_same_episode(shots, evaluated(environment))
    assert len({shot.picture.tobytes() for shot in shots}) == len(shots)


# PettingZoo


def test_the_film_of_pettingzoo_is_the_episode_that_eval_plays():
    environment = make_env("pettingzoo/mpe2.simple_spread_v3")
    shots = film(environment)
    assert_same_episode(shots, evaluated(environment))
    assert len({shot.picture.tobytes() for shot in shots}) > 20  # it rounds to pixels


def test_your_own_pettingzoo_environment_must_be_made_with_a_picture():
    from mpe2 import simple_spread_v3

    def made(**settings):
        return opspo.from_pettingzoo(
            lambda: simple_spread_v3.parallel_env(max_cycles=4, **settings), name="spread"
        )

    assert len(film(made(render_mode="rgb_array"))) == 5
    with (
        pytest.raises(ConfigError, match=r'render_mode="rgb_array"'),
        pytest.warns(UserWarning, match="without specifying any render mode"),
    ):
        film(made())
