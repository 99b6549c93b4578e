"""What is counted and timed, and how Prometheus reads it.

Each process counts in a file of its own (`worker_file`, laid out by `layout`); whoever is
scraped sums up the files of all (`reader`, `totals`) and folds those of dead processes into
an archive (`folding`, `archive`, `generation`). `instruments` is what other code counts with,
`exposition` the page that is served, `table` what there is.
"""
