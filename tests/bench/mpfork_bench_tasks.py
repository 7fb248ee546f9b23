"""What CPython's processes run, and what they find preloaded: as many small objects as the variable says."""

import os
import time

PIECE = 1000
# The helper's ends of the pipes, where a process is forked from it as it is: while there are copies, nobody
# sees that the helper is gone.
ENDS = []
LOADED_BY = os.getpid()


def _preload():
    megabytes = int(os.environ.get("MPFORK_BENCH_PRELOAD_MB", "0"))
    return [bytes([number & 255]) * PIECE for number in range(megabytes * 1_000_000 // PIECE)]


PIECES = _preload()


def check(preloaded):
    """Fails where what should be preloaded is not, or the other way round."""
    if preloaded == (LOADED_BY == os.getpid()):
        raise RuntimeError(f"preloaded: {not preloaded}")


def nothing(preloaded):
    check(preloaded)


def tell(path, preloaded):
    began = time.monotonic_ns()
    check(preloaded)
    _tell(path, began)


def hold(tell_path, go_path, preloaded):
    for end in ENDS:
        os.close(end)
    # Where nobody writes any more, opening does not wait and reading gives the end.
    go = os.open(go_path, os.O_RDONLY | os.O_NONBLOCK)
    os.set_blocking(go, True)
    check(preloaded)
    _tell(tell_path, 0)
    os.read(go, 1)


def _tell(path, number):
    pipe = os.open(path, os.O_WRONLY)
    os.write(pipe, number.to_bytes(8, "little"))
    os.close(pipe)
