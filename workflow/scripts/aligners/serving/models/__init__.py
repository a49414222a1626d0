"""The process with the models, and the client that starts, asks and watches it."""
