"""One module for each noun; the table of what they hold is in main.py."""
