"""Sessions over several machines: media hosts on Ray, and the front that places and finds sessions."""
