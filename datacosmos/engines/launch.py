"""Run as a script: becomes the given program, which the kernel then ends together with the process that started it.

Usage: launch.py PARENT_PID PROGRAM [ARGUMENT ...]. A fork hook would do the same, but may deadlock beside threads.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def main() -> None:
    parent, program = int(sys.argv[1]), sys.argv[2]
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it ended before the kernel knew our wish
        sys.exit(f"{program}: the process that started it has ended")
    try:
        os.execv(program, sys.argv[2:])  # noqa: S606
    except OSError as error:
        sys.exit(f"{program}: {error.strerror}")


if __name__ == "__main__":
    main()
