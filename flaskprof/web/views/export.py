"""A profile as a file for another tool, in every format that is written."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

from werkzeug.exceptions import NotFound

from flaskprof.formats import Format
from flaskprof.web.exports import DRAWINGS, EXPORTS
from flaskprof.web.subject import Subject, merged, subject_of
from flaskprof.web.visit import Download, Visit

__all__ = ["capture_export", "merge_export"]

_ENDS = [row.suffix for row in EXPORTS.values()]
_UNFIT = re.compile(r"[^A-Za-z0-9._-]+")


def capture_export(visit: Visit, capture_id: str, name: str) -> Download:
    """Write one capture in the format of that name."""
    return _export(subject_of(visit, capture_id), name)


def merge_export(visit: Visit, name: str) -> Download:
    """Write several captures, added up, in the format of that name."""
    return _export(merged(visit, visit.query.getlist("c")), name)


def _export(subject: Subject, name: str) -> Download:
    row = EXPORTS.get(name)
    if row is None:
        raise NotFound(f"There is no format {name!r}, but " + ", ".join(EXPORTS) + ".")
    own = subject.file(row.suffix)
    body = own if own is not None else _written(subject, row)
    return Download(body, _file_name(subject) + row.suffix, row.media_type)


def _written(subject: Subject, row: Format) -> bytes:
    profile: Any = subject.graph
    if row is DRAWINGS["svg"]:
        profile = subject.tree
    elif row is DRAWINGS["html"]:  # it can be folded there
        profile = subject.unfolded().profile
    elif row.has_stacks:
        profile = subject.stacks
    packages = tuple(sorted(subject.kinds.packages))
    return row.write(profile, replace(subject.whole_record, app_packages=packages))


def _file_name(subject: Subject) -> str:
    """Call the file as its capture; a file or a merge by what is fit of its title."""
    record = subject.record
    if record and not record.title:
        return record.id
    title = next(
        (subject.title.removesuffix(end) for end in _ENDS if subject.title.endswith(end)),
        subject.title,
    )
    return _UNFIT.sub("-", title).strip("-.")[:80] or (record.id if record else "merged")
