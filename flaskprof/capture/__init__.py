"""What records captures inside the application's process."""
