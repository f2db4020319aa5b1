"""Counting the floating-point operations of a program's matrix products from their shapes."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from jax.extend.core import ClosedJaxpr, Jaxpr, JaxprEqn


def dot_flops(jaxpr: ClosedJaxpr | Jaxpr) -> int:
    """Floating-point operations of all matrix products in a program, 2 for each multiply-add.

    The compiler's own count has a loop's body once, however often it runs. Here the body of a scan
    counts once per iteration, and a branch counts as its costliest side. The body of a loop whose
    length depends on the data counts once. A product counts even if its result is unused.
    """
    inner = jaxpr.jaxpr if isinstance(jaxpr, ClosedJaxpr) else jaxpr
    return sum(_of_equation(equation) for equation in inner.eqns)


def _of_equation(equation: JaxprEqn) -> int:
    name, params = equation.primitive.name, equation.params
    if name == "dot_general":
        return _of_product(equation)
    parts = [dot_flops(part) for part in _programs_in(params)]
    if name == "cond":
        return max(parts)
    times: int = 1
    if name == "scan":
        times = params["length"]
    elif name == "shard_map":  # its program is one device's share
        times = params["mesh"].size
    return times * sum(parts)


def _of_product(equation: JaxprEqn) -> int:
    """2 × the size of the result × the sizes of the contracted axes."""
    (contracting, _), _ = equation.params["dimension_numbers"]
    left: Any = equation.invars[0].aval
    result: Any = equation.outvars[0].aval
    return 2 * math.prod(result.shape) * math.prod(left.shape[i] for i in contracting)


def _programs_in(params: dict[str, Any]) -> Iterator[ClosedJaxpr | Jaxpr]:
    """The programs that an equation calls: loop bodies, branches and nested functions."""
    for value in params.values():
        for part in value if isinstance(value, tuple | list) else (value,):
            if isinstance(part, ClosedJaxpr | Jaxpr):
                yield part
