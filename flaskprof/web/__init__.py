"""The viewer: pages over a store of captures, as a WSGI application of its own."""
