"""Contracts: how other people's containers expect their input and leave their output. One file a contract."""
