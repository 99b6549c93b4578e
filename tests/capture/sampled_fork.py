"""Forks within a sampled request; run by test_sampler.py, with a data directory."""

import os
import sys
import threading
import time
import warnings
from pathlib import Path

from flaskprof.capture.engines import RecordingLostError
from flaskprof.capture.recorder import recorder_for
from flaskprof.capture.triggers import Ask
from flaskprof.config import Settings

# A fork beside threads is what this is about.
warnings.filterwarnings("ignore", category=DeprecationWarning)

recorder = recorder_for(Settings(dir=Path(sys.argv[1]), dev=True))
ask = Ask("header", None, "sampled")


def work():
    end = time.perf_counter() + 0.001
    while time.perf_counter() < end:
        pass


def await_samples(recording):
    deadline = time.monotonic() + 20
    while "work" not in {function.name for function in recording._samples._functions}:
        assert time.monotonic() < deadline
        work()


def watchers():
    names = [thread.name for thread in threading.enumerate()]
    return {1: "one watcher"}.get(names.count("flaskprof-watcher"), names)


def say(*words):
    print(*words, flush=True)


_, recording = recorder.record(ask)
recording.on()
await_samples(recording)
child = os.fork()
if child == 0:
    recording.off()
    recording.stop()
    try:
        recording.finish()
    except RecordingLostError as error:
        say("child:", error)
    _, mine = recorder.record(ask)
    mine.on()
    await_samples(mine)
    mine.off()
    say("child: sampled anew" if mine.finish().is_sampled else "child: not sampled")
    say("child:", watchers())
    recorder.close()
    os._exit(0)
os.waitpid(child, 0)
await_samples(recording)
recording.off()
recording.stop()
say("parent: sampled" if recording.finish().is_sampled else "parent: not sampled")
say("parent:", watchers())
recorder.close()
