"""Keyframes: the bank that holds them, the policy that asks for new ones, drawing, filling and switching."""
