"""Keyframes: the bank, the policy that asks for new ones, how they are made, and what is shown meanwhile."""
