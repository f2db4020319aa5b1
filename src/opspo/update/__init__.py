"""How a batch becomes gradient steps: orders, minibatches, schedules, stages.

`orders` is public as a module, since the setting `order` names a function in it.
"""

from opspo.update import orders
from opspo.update.schedule import Order, Plan, Schedule, in_blocks, sequential, simultaneous

__all__ = [
    "Order",
    "Plan",
    "Schedule",
    "in_blocks",
    "orders",
    "sequential",
    "simultaneous",
]
