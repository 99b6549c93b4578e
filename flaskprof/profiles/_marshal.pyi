from array import array
from typing import TypeAlias

from flaskprof.profiles.model import Function

_Sums: TypeAlias = tuple[array[int], array[int], array[float], array[float]]

def read(
    data: bytes,
    function: type[Function],
    mark: bytes,
    max_functions: int,
    max_edges: int,
    max_name_bytes: int,
    max_text: int,
    max_seconds: float,
    /,
) -> tuple[tuple[Function, ...], _Sums, array[int], array[int], _Sums] | None: ...
