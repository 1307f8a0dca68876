"""The tools' tests share a gateway before a simulator with wrong reports."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
