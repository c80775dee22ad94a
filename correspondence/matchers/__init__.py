"""The matchers that need no network: classical, coarse and thorough, and how candidates are chosen."""
