"""Sessions: what they are made of, who may use them, their connections and what they tell their pages."""
