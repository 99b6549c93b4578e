"""Looks at requests from outside while they run: the watcher, and the engine that samples."""
