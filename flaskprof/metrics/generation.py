"""Which files count together, and how all series begin at zero where they cannot go on.

Histograms over other buckets cannot be added up. Once the youngest worker has other buckets
than the archive, or where the archive itself cannot be read, a new generation begins: every
series begins at zero, which a counter may do, and never at a part of what it was.
"""

from __future__ import annotations

from flaskprof.metrics.archive import Archive
from flaskprof.metrics.reader import Survey
from flaskprof.metrics.totals import Totals

__all__ = ["begin_generation"]


def begin_generation(archive: Archive, found: Survey, now_ns: int) -> Archive:
    """Return `archive`, or the one to go on with where the files call for another.

    What files of the new buckets counted before is taken off, if it may have been served
    already: files that are older than the generation that ends.
    """
    bounds = found.bounds_ns()
    known = archive.totals.bounds_ns
    if not archive.is_damaged and bounds in {(), known}:
        return archive
    totals = Totals(bounds)
    if bounds in found.groups:
        totals.subtract(found.groups[bounds].exposed.totals())
    # Without an archive too, files of other buckets may have been served before.
    is_first = not known and not archive.is_damaged and not found.is_mixed()
    return Archive(
        totals=totals,
        generation=archive.generation + (not is_first),
        started_ns=now_ns,
        done=archive.done,
        set_aside=archive.set_aside,
    )
