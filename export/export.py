"""The command `aqlens-export` of a checkout: see `python/aqlens_export/cli.py`, or `--help`.

python export/export.py gpt2 --out models/gpt2
"""

import sys
from pathlib import Path

# This checkout's package, wherever the environment's own was installed from.
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "python"))

from aqlens_export.cli import main

if __name__ == "__main__":
    sys.exit(main())
