"""Write the golden files anew: `python -m tests.contracts.write`.

Only where what is used from outside was meant to change: look at the difference first.
"""

from __future__ import annotations

import sys
from pathlib import Path

from tests.contracts.picture import write

GOLDEN = Path(__file__).parent / "golden"

if __name__ == "__main__":
    sys.exit(write(GOLDEN))
