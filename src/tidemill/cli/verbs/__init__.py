"""The commands. A file is one subject; a function is one command. Each imports what it calls when it is called."""
