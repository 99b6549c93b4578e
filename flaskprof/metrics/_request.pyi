from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Final, Self

from typing_extensions import Buffer

from flaskprof.metrics.visit import Closing, Environ, Flight, Plan

MEASURE_CPU: Final = 1
MEASURE_LENGTH: Final = 2
MEASURE_MORE: Final = 4
MEASURE_EVERY_CPU: Final = 8
MEASURE_QUEUE: Final = 16
MEASURE_TRACES: Final = 32
CPU_SHARE: Final = 16
OWN_MASK: Final[int]
RING_ENTRIES: Final = 256
RING_WORDS: Final = 8

class Body:
    def __new__(cls, result: Iterable[bytes], visit: Closing, /) -> Self: ...
    def __iter__(self) -> Iterator[bytes]: ...
    def close(self) -> None: ...

class Cells:
    due_ns: int

    def __new__(
        cls,
        memory: Buffer,
        bounds: Sequence[int],
        buckets: int,
        exemplars: tuple[int, int, int] | None = None,
        /,
    ) -> Self: ...
    def add(self, *pairs: int) -> None: ...
    def add_exemplar(
        self, place: int, value: int, profile_id: str, trace_id: str, /
    ) -> None: ...
    def observe(self, place: int, value: int, /, *others: int | None) -> None: ...
    def move_to(self, memory: Buffer, kept: Sequence[int] | None = None, /) -> None: ...
    def forget_lock(self) -> None: ...

class Visit:
    environ: Environ | None
    exception: Any
    is_left_out: bool
    is_plain: bool
    label: str | None
    length: int | None
    match: Any
    name_route: Callable[[Environ], Any]
    queries: Any
    queued_ns: int | None
    status: str | None
    stream: Any
    noted_trace: Any
    @property
    def entered_ns(self) -> int: ...
    @property
    def flight(self) -> Flight | None: ...
    @property
    def is_over(self) -> bool: ...
    @property
    def method(self) -> str: ...
    @property
    def plan(self) -> Any: ...
    @property
    def started_ns(self) -> int: ...
    def start(
        self,
        plan: Plan,
        entered_ns: int,
        environ: Environ,
        start_response: Callable[..., Any],
        name_route: Callable[[Environ], Any],
        /,
    ) -> None: ...
    def run(self, app: Callable[..., Iterable[bytes]]) -> Iterable[bytes]: ...
    def start_response(self, status: str, headers: list[Any], exc_info: Any = None) -> Any: ...
    def end(self) -> None: ...

def content_length(headers: list[tuple[str, str]], /) -> int | None: ...
