"""Pure functions that are maximised or minimised: the surrogate, its clip ranges, the value loss.

`clip_ranges` is public as a module, since the setting `clip_range` names a function in it.
"""

from opspo.objectives import clip_ranges
from opspo.objectives.agent_clips import nearness, position_clip
from opspo.objectives.surrogate import clipped_surrogate, is_clipped
from opspo.objectives.value import clipped_value_loss

__all__ = [
    "clip_ranges",
    "clipped_surrogate",
    "clipped_value_loss",
    "is_clipped",
    "nearness",
    "position_clip",
]
