"""Media: reading and writing pictures and video, colours, containers, and the demo source."""
