"""Builds what is in C where that is possible; everything else is in pyproject.toml.

Without a compiler, or with FLASKPROF_NO_EXTENSION set, flaskprof is installed without it and
uses its engine in Python, cells in Python for its metrics, and the reader of profiles in
Python.
"""

import os

from setuptools import Extension, setup

MODULES = ("capture/_calltree", "metrics/_request", "profiles/_marshal")

EXTENSIONS = [
    Extension(
        "flaskprof." + module.replace("/", "."),
        [f"flaskprof/{module}.c"],
        optional=True,
        extra_compile_args=os.environ.get("FLASKPROF_CFLAGS", "").split(),
        extra_link_args=os.environ.get("FLASKPROF_LDFLAGS", "").split(),
    )
    for module in MODULES
]

setup(ext_modules=[] if os.environ.get("FLASKPROF_NO_EXTENSION") else EXTENSIONS)
