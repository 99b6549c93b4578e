"""What a profile is: pure data and functions over it, without files, clocks or threads."""
