"""Pure statistics over scored cases: arrays in, estimates out."""
