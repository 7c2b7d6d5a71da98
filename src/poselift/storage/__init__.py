"""Reading without trust and writing without loss: size caps, an inert unpickler, write-aside-and-rename."""
