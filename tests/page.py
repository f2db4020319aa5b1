"""What a page of the docs shows, in one process: `python tests/page.py`, with the steps as JSON.

A step is a command of ours, as a list, or a Python program, as text. Each starts with nothing of
the others' but what they left in the folder; only Python, JAX and the engines are started once.
"""

import json
import sys

from opspo.bench import measure
from opspo.cli import main

measure.PRODUCT_SIZE = 512  # in place of one that takes seconds


def run(step):
    """Leave, with the step's exit status, where that is not 0."""
    if isinstance(step, str):
        exec(compile(step, "<program>", "exec"), {"__name__": "__main__"})
        return
    try:
        main(step[1:])
    except SystemExit as stop:
        if stop.code:
            raise


if __name__ == "__main__":
    for step in json.loads(sys.argv[1]):
        print("Runs:", step, file=sys.stderr, flush=True)
        run(step)
