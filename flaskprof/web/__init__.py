"""The viewer: a small WSGI application of its own that shows what a store holds.

`flaskprof.web.app` is the application, `views` has one function a page, `rows` turns
records and profiles into what the templates print, `figures` turns numbers into text.
"""
