"""Training and calibration of the matchers: data, pairs with known fields, losses, the loop."""
