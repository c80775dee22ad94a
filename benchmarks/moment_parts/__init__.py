"""What `livery bench moments` is made of besides its own module: covers, and the network alone."""
