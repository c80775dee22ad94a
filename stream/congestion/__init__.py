"""How much the network takes: measured per connection, and turned into bit rate, frame rate and size."""
