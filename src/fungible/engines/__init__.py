"""The formation on someone else's scheduler: what every engine is told, an image of the build, and each engine."""
