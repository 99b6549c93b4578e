"""The viewer: pages over a store of captures, as a WSGI application of its own.

`app` is the application, `links` its addresses; `views` has one function a page, `rows`
turns records and profiles into what the templates print, `figures` numbers into text.
`pages` decides which requests of an application are ours to answer.
"""
