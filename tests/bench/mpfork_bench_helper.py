"""Makes CPython's processes: answers requests, a line of JSON each, until nobody asks any more.

It is imported, so that there is no main module that children would load once more.
"""

import collections
import importlib
import json
import multiprocessing
import os
import select
import shutil
import sys
import tempfile
import time
from multiprocessing import forkserver

TASKS = "mpfork_bench_tasks"
PATIENCE_MS = 30_000
# Start method, and whether its processes find the tasks' module loaded by another process.
WAYS = {
    "cpython-fork": ("fork", True),
    "cpython-forkserver": ("forkserver", True),
    "cpython-forkserver-bare": ("forkserver", False),
    "cpython-spawn": ("spawn", False),
}


class Pipes:
    """Where processes tell that they run, and what lets them go."""

    def __init__(self):
        self.folder = tempfile.mkdtemp(prefix="mpfork-bench-")
        self.tell = os.path.join(self.folder, "tell")
        self.go = os.path.join(self.folder, "go")
        for path in (self.tell, self.go):
            os.mkfifo(path)
        # For both, so that opening does not wait and what is read never ends.
        self.told_end = os.open(self.tell, os.O_RDWR)
        self.go_end = os.open(self.go, os.O_RDWR)
        self.poll = select.poll()
        self.poll.register(self.told_end, select.POLLIN)

    def next(self):
        if not self.poll.poll(PATIENCE_MS):
            raise TimeoutError("a process never told that it runs")
        return int.from_bytes(os.read(self.told_end, 8), "little")

    def close(self):
        os.close(self.go_end)
        os.close(self.told_end)
        shutil.rmtree(self.folder)


class Engine:
    def __init__(self, way):
        method, self.preloaded = WAYS[way]
        self.context = multiprocessing.get_context(method)
        if method == "forkserver":
            # Without a list it would be the main module, of which there is none.
            self.context.set_forkserver_preload([TASKS] if self.preloaded else [])
            forkserver.ensure_running()
        if method != "fork":
            # The forkserver alone has what is preloaded; this process only names functions.
            os.environ["MPFORK_BENCH_PRELOAD_MB"] = "0"
        self.tasks = importlib.import_module(TASKS)
        self.pipes = None
        self.held = []

    def start(self, name, *args):
        process = self.context.Process(target=getattr(self.tasks, name), args=(*args, self.preloaded))
        process.start()
        return process

    @staticmethod
    def wait(process):
        process.join()
        if process.exitcode != 0:
            raise RuntimeError(f"a process that does nothing ended with {process.exitcode}")
        process.close()

    def latency(self, figure, count, millis):
        samples = []
        began = time.monotonic_ns()
        # For first instructions; a descriptor passed to each would be one thing more to do.
        pipes = Pipes() if figure == "first_instruction" else None
        while len(samples) < count and (not samples or time.monotonic_ns() - began < millis * 1_000_000):
            asked = time.monotonic_ns()
            if pipes:
                process = self.start("tell", pipes.tell)
                samples.append(pipes.next() - asked)
                self.wait(process)
            else:
                self.wait(self.start("nothing"))
                samples.append(time.monotonic_ns() - asked)
        if pipes:
            pipes.close()
        return {"samples_ns": samples, "count": len(samples), "elapsed_ns": time.monotonic_ns() - began}

    def keep_going(self, outstanding, enough):
        running, started, ended = collections.deque(), 0, 0
        began = time.monotonic_ns()
        while True:
            while len(running) < outstanding and not enough(started, began):
                running.append(self.start("nothing"))
                started += 1
            if not running:
                break
            self.wait(running.popleft())
            ended += 1
        return {"count": ended, "elapsed_ns": time.monotonic_ns() - began}

    def rate(self, outstanding, millis):
        return self.keep_going(
            outstanding, lambda _, began: time.monotonic_ns() - began >= millis * 1_000_000
        )

    def burst(self, count):
        return self.keep_going(count, lambda started, _: started >= count)

    def hold(self, count, pages):
        if pages != "left":
            raise ValueError(f"not measured of CPython: {pages}")
        self.pipes = self.pipes or Pipes()
        self.tasks.ENDS[:] = [self.pipes.told_end, self.pipes.go_end]
        began = time.monotonic_ns()
        made = [self.start("hold", self.pipes.tell, self.pipes.go) for _ in range(count)]
        self.held += made
        samples = [self.pipes.next() for _ in made]
        return {
            "samples_ns": samples,
            "count": count,
            "elapsed_ns": time.monotonic_ns() - began,
            "pids": [process.pid for process in made],
        }

    def release(self):
        if self.pipes:
            self.pipes.close()
            self.pipes = None
            self.tasks.ENDS.clear()
        began, held, self.held = time.monotonic_ns(), self.held, []
        for process in held:
            self.wait(process)
        return {"count": len(held), "elapsed_ns": time.monotonic_ns() - began}


def main():
    engine = Engine(sys.argv[1])
    for line in sys.stdin:
        (name, arguments), = json.loads(line).items()
        try:
            answer = getattr(engine, name)(**arguments)
        except Exception as error:
            answer = {"failed": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), flush=True)
