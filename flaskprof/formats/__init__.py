"""Other tools' formats of profiles, one module each."""
