"""Recordings of sessions: written live, made anew piece by piece, and finished later by `livery refine`."""
