"""An edit put onto a frame: blend weights, gates, layers, rigid objects, person and backdrop."""
