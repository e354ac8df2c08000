"""The heart: what an op is, how it is recorded, how gradients flow back, where kernels are
launched.
"""
