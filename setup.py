"""Builds the call-tree engine where that is possible; everything else is in pyproject.toml.

Without a compiler, or with FLASKPROF_NO_EXTENSION set, flaskprof is installed without it and
uses its engine in Python.
"""

import os

from setuptools import Extension, setup

ENGINE = Extension(
    "flaskprof.capture._calltree",
    ["flaskprof/capture/_calltree.c"],
    optional=True,
    extra_compile_args=os.environ.get("FLASKPROF_CFLAGS", "").split(),
    extra_link_args=os.environ.get("FLASKPROF_LDFLAGS", "").split(),
)

setup(ext_modules=[] if os.environ.get("FLASKPROF_NO_EXTENSION") else [ENGINE])
