"""Every table, number and figure of the docs that comes from `results/`: `python -m tools.results`.

`--check` changes nothing, and fails where something would change.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from tools.results import figures, pages

ROOT = Path(__file__).parent.parent.parent


def main() -> int:
    """Write everything, or check it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="change nothing; fail if it would")
    check = parser.parse_args().check
    stale = pages.renew(ROOT, write=not check) + figures.renew(ROOT, write=not check)
    for each in stale:
        print(each)
    return 1 if check and stale else 0


if __name__ == "__main__":
    sys.exit(main())
