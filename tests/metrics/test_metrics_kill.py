"""Workers and folders are killed at random moments; nothing that was counted is lost.

``make kill`` runs 200 rounds; here there are fewer.
"""

from __future__ import annotations

import mmap
import os
import random
import time

from counting_workers import counters_in, nursery, requests_in

from flaskprof.metrics import table
from flaskprof.metrics.folding import fold, read
from flaskprof.metrics.reader import worker_files

ROUNDS = int(os.environ.get("FLASKPROF_KILL_ROUNDS", "8"))
WORKERS = 3
LONGEST_LIFE_SECONDS = 0.1


class Progress:
    """How many counts each worker began and ended, in files that outlive it."""

    def __init__(self, directory):
        self.directory = directory
        self.words = []

    def new(self):
        path = self.directory / f"progress-{len(self.words)}"
        path.write_bytes(bytes(16))
        with path.open("r+b") as file:
            self.words.append(memoryview(mmap.mmap(file.fileno(), 16)).cast("q"))
        return path

    def began(self):
        return sum(words[0] for words in self.words)

    def ended(self):
        return sum(words[1] for words in self.words)


def test_totals_stay_within_what_was_in_flight_at_the_kills_and_never_fall(tmp_path):
    chance = random.Random(os.environ.get("FLASKPROF_KILL_SEED", "7"))
    directory = tmp_path / "metrics"
    progress = Progress(tmp_path)
    last = 0

    def look():
        nonlocal last
        least = progress.ended()
        reading = read(directory)
        most = progress.began()
        total = sum(requests_in(reading).values())
        assert least <= total <= most
        assert last <= total
        assert (reading.skipped, reading.set_aside, reading.generation) == (0, 0, 1)
        last = total
        return reading

    with nursery() as processes:
        workers = [processes.start("count", directory, progress.new()) for _ in range(WORKERS)]
        folder = processes.start("fold", directory)
        for _ in range(ROUNDS):
            time.sleep(chance.random() * LONGEST_LIFE_SECONDS)  # a moment, not an event
            victim = chance.randrange(WORKERS)
            processes.kill(workers[victim])
            look()
            time.sleep(chance.random() * LONGEST_LIFE_SECONDS / 10)
            processes.kill(folder)
            look()
            workers[victim] = processes.start("count", directory, progress.new())
            folder = processes.start("fold", directory)
            look()
    fold(directory)
    reading = look()
    assert worker_files(directory) == []
    # What each kill left open is one count at the most.
    assert progress.began() - progress.ended() <= ROUNDS + WORKERS
    started = counters_in(reading).get((table.STARTED_WORKERS.name,), 0)
    assert started <= ROUNDS + WORKERS
