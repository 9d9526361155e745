"""The wire tests' proxy and Engine serve here too."""

import os
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
# wire.py reads it once, when it is imported.
os.environ.setdefault("DSP_BINARY", str(ROOT / "build-asan" / "tests" / "torture"))
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "tests" / "wire")]
