"""One module for each perturbation, or for a few that share their physics; the registry finds them."""
