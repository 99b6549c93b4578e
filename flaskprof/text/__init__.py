"""Captures and profiles as tables of plain text, for a terminal or a shell."""
