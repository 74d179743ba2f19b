"""What the encoder's choices are fitted to: made by `picolab judge`, never typed."""

# Bits for squared errors of values 0 to 1, and for detail, of a pixel: at level 0, and how many
# times that at level 1000, in between by a power of it.
ERRORS = (5.897, 495.7)
DETAIL = (0.1181, 124.6)

# libavif's quality: at level 0, and what comes on top by the level, 0 to 1, and by its square.
AV1_QUALITY = (1.62, 118.5, -38.62)

# Bits of a pixel of photos by the networks: at level 0, and how many times that at level 1000.
BITS = (0.05443, 25.54)
