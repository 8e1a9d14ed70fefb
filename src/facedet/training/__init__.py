"""A training: from a composed config to weights, its folder, and how it is resumed."""

# Environment variable with the command as it was typed, for the processes that it starts too.
COMMAND = "FACEDET_COMMAND"
