"""Write the golden files again: `python -m tests.contracts.write`.

Run it only if something used from outside was meant to change, and read the difference.
"""

from __future__ import annotations

import sys
from pathlib import Path

from tests.contracts.picture import write

GOLDEN = Path(__file__).parent / "golden"

if __name__ == "__main__":
    sys.exit(write(GOLDEN))
