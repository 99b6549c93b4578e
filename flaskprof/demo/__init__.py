"""A small shop to try flaskprof on: pages, an API, and a few things that are slow on purpose.

`flaskprof demo` serves it; the tests and the documentation use it too.
"""
