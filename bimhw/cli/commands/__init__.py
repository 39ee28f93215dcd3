"""One file a command: `command` in each is the click command of the file's name. Heavy imports stay inside functions."""
