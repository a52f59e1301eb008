"""What a hold-out can bear: bits, answering mechanisms, uses of each case, and draws from a pool."""
