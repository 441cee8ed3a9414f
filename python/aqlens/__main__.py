"""`python -m aqlens`: the program itself, with these arguments."""

import os
import subprocess
import sys

from aqlens._errors import NoProgram
from aqlens._program import find_bin


def main() -> None:
    """Becomes the program, so that its exit code and its signals are this process's own."""
    try:
        program = find_bin()
    except NoProgram as error:
        sys.exit(f"error: {error}")
    arguments = [program, *sys.argv[1:]]
    if os.name == "nt":  # Windows has no exec that waits.
        sys.exit(subprocess.run(arguments, check=False).returncode)
    os.execv(program, arguments)


if __name__ == "__main__":
    main()
