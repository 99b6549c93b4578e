"""The viewer: pages over a store of captures, as a WSGI application of its own.

`app` is the application and `links` are its addresses. `views` has one module a page,
`rows` turns records and profiles into what the templates print, `figures` turns numbers
into text. `pages` decides which requests of an application are ours to answer.
"""
