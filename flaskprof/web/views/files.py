"""The files of a capture, to be saved."""

from __future__ import annotations

from flaskprof.web.visit import Download, Visit

__all__ = ["download_profile", "download_record", "download_stacks"]


def download_profile(visit: Visit, capture_id: str) -> Download:
    """The ``.prof`` file as it was written."""
    visit.store.record(capture_id)
    body = visit.store.read(capture_id, ".prof")
    return Download(body, f"{capture_id}.prof", "application/octet-stream")


def download_stacks(visit: Visit, capture_id: str) -> Download:
    """The exact stacks in pprof's format, where the engine saw them."""
    visit.store.record(capture_id)
    body = visit.store.read(capture_id, ".pb.gz")
    return Download(body, f"{capture_id}.pb.gz", "application/octet-stream")


def download_record(visit: Visit, capture_id: str) -> Download:
    """The metadata of a capture in its versioned format."""
    text = visit.store.record(capture_id).to_json()
    # A lone surrogate, which UTF-8 cannot hold, becomes the JSON escape of the same form.
    body = text.encode("utf-8", "backslashreplace")
    return Download(body, f"{capture_id}.json", "application/json")
