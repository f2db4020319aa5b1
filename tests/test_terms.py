"""Terms are called by the names of their arguments, and told what they can ask for."""

from functools import partial
from types import SimpleNamespace

import jax
import pytest

from opspo.errors import ConfigError
from opspo.terms import Missing, call, called, check, check_positional, named

OFFERED = {"a": 1, "b": 20, "c": 300}


def add(a, *, b, rest=4000):
    return a + b + rest


@pytest.mark.parametrize(
    ("term", "expected"),
    [
        (add, 4021),
        (partial(add, rest=0), 21),
        (partial(add, b=5), 4006),  # what its owner has bound stays
        (jax.jit(partial(add, b=5)), 4006),
        (jax.jit(add), 4021),
        (lambda: 7, 7),
        (lambda c, **others: c + len(others), 300),
        (lambda *rest: len(rest), 0),
    ],
)
def test_a_term_gets_what_it_names_and_nothing_else(term, expected):
    check("setting", term, OFFERED)
    assert call(term, OFFERED) == expected


def test_a_term_that_asks_for_something_else_is_told_what_there_is():
    with pytest.raises(ConfigError, match=r"algorithm\.clip: .*:add asks for 'b'.*may be: a, c\."):
        check("clip", add, ("c", "a"))
    for nothing in (None, 3, "ratio"):
        with pytest.raises(ConfigError, match=rf"clip must be one of the names.*{nothing!r}"):
            check("clip", nothing, OFFERED)
    with pytest.raises(ConfigError, match="takes 'a' by position alone"):
        check("clip", lambda a, /: a, OFFERED)


def test_a_term_that_is_called_by_position_is_told_how():
    check_positional("order", lambda first, second=0: first, ("key", "score"))
    for term in (lambda key: key, lambda key, score, third: key, lambda *, key, score: key):
        with pytest.raises(ConfigError, match=r"order: .* is called as \(key, score\), but takes "):
            check_positional("order", term, ("key", "score"))


def test_a_name_is_found_in_its_module_and_a_function_stands_for_itself():
    module = SimpleNamespace(add=add)
    assert named(module, "add") is add and named(module, call) is call


def test_a_term_is_called_by_where_it_was_written():
    assert called(add) == f"{__name__}:add" == called(partial(add, b=1)) == called(jax.jit(add))
    assert called(type("Own", (), {"__call__": lambda self: 0})()) == f"{__name__}:Own"
    assert called(Missing("their:own")) == "their:own"


def test_what_is_missing_says_so_wherever_it_is_used():
    for use in (
        lambda own: own(1),
        lambda own: check("clip", own, OFFERED),
        lambda own: check_positional("order", own, ("key", "score")),
    ):
        with pytest.raises(ConfigError, match=r"is your own: their:own.*algorithm=\.\.\."):
            use(Missing("their:own"))
    assert Missing("a") == Missing("a") != Missing("b") and len({Missing("a"), Missing("a")}) == 1
