"""The network, its weights, the folder it is saved in, its card, and the runtimes that run it."""
