"""Environments that are wrong in one way each, and what the check must say of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Case:
    """A broken environment."""

    make: Callable[[], Any]
    """() → the environment, or what else `check_env` takes"""
    kind: str
    """Of the one problem (or, among `NOTES`, note) that it has"""
    says: tuple[str, ...]
    """What must stand in it"""
    where: str = ""
    """How the place of it begins"""
