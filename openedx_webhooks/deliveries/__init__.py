"""Events on their way: the outbox that the request writes, and the engine that empties it."""
