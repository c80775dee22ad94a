"""Runs folders of cases: each holds an input that went wrong once, and what is right is checked."""
