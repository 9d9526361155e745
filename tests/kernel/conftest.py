"""Tests of another kernel, in the machine of tools/kernel-vm: `make test STAGES=kernel`."""

import sys
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TESTS), str(TESTS / "wire")]
