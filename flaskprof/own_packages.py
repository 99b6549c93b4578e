"""Which package an application is, where it is installed as libraries are.

By its path alone nothing tells an application that was deployed as a wheel from the libraries
beside it. The module that made it does.
"""

from __future__ import annotations

import sys
from itertools import accumulate

from flaskprof.profiles.kinds import Kind, Kinds
from flaskprof.profiles.model import Function

__all__ = ["own_packages"]

_BY_PLACE = Kinds()
_INSTALLED = (Kind.LIBRARY, Kind.FRAMEWORK)


def own_packages(module: str) -> tuple[str, ...]:
    """Return the package that the application of a module is, if that is installed.

    It is the topmost package of the module that is no namespace, which others may be in too:
    of ``acme.shop.web`` it is ``acme.shop``, if ``acme`` is one. There is none of what is not
    imported, or not installed: by its path that is the application's anyway.
    """
    if _BY_PLACE.of(Function(_file_of(module), 1, "")) not in _INSTALLED:
        return ()
    if module == "__main__":
        # As `python -m` was told; a script that is installed has no other name.
        module = getattr(getattr(sys.modules[module], "__spec__", None), "name", module)
    names = accumulate(module.split("."), "{}.{}".format)
    return (next(name for name in names if name == module or _file_of(name)),)


def _file_of(module: str) -> str:
    """Return the file of a module that is imported; nothing of a namespace."""
    return getattr(sys.modules.get(module), "__file__", None) or ""
