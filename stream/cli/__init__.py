"""The command line: verbs, options, exit codes, progress, and checks of the machine."""
