"""Every change of a running formation: releases, rolls, and the one writer that makes them."""
