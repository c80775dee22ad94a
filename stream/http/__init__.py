"""HTTP: the application, the JSON interface, WHIP and WHEP, tokens and rate limits."""
