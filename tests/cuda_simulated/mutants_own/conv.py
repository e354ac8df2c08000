"""Mutants of conv/cuda_tiles.py and conv/cuda_direct.py."""

from __future__ import annotations

from tests.cuda_simulated.own import Own

PRODUCT = "conv.cuda_tiles:weight_product"
PATCH = "conv.cuda_tiles:weight_and_patch"
TILES = "conv.cuda_tiles:correlate_tiles"
WEIGHT = "conv.cuda_tiles:weight_tiles"
GRADIENT = "conv.cuda_tiles:gradient_and_patch"
BARRIER = "cuda.syncthreads()"
INPUT, TAPS = "conv_backward_input", "conv_backward_weight"

MUTANTS = (
    Own(PRODUCT, "conv", "first barrier removed", BARRIER, "pass",
        kinds=("race", "uninitialised")),
    Own(PRODUCT, "conv", "last barrier removed", BARRIER, "pass", 1, ("race", "uninitialised")),
    Own(PRODUCT, "conv", "one buffer for two", "here = uint32(uint32(2 * SIDE) - here)", "pass",
        kinds=("race",)),
    Own(PRODUCT, "conv", "last of k left out", "range(DEPTH)", "range(DEPTH - 1)",
        kinds=("wrong",)),
    Own(PRODUCT, "conv", "row of its neighbour", "uint32(here + top)",
        "uint32(here + top + uint32(4))", kinds=("wrong", "bounds")),
    Own(PATCH, INPUT, "last row seen beyond", "r < sizes[HEIGHT]", "r <= sizes[HEIGHT]",
        kinds=("wrong", "bounds")),
    Own(PATCH, "conv", "columns not bounded", "and c < sizes[WIDTH]", "",
        kinds=("wrong", "bounds")),
    Own(PATCH, "conv", "taps run on", "tap == sizes[TAPS]", "tap > sizes[TAPS]",
        kinds=("bounds", "wrong")),
    Own("conv.cuda_tiles:store_slices", "conv", "operands overlap", "d * TILE + SIDE",
        "d * TILE + SIDE - TILE", kinds=("race", "wrong", "uninitialised")),
    Own("conv.cuda_tiles:put_row", "conv", "bound loosened", "if m < count", "if m <= count",
        kinds=("bounds", "race")),
    Own("conv.cuda_tiles:output_place", "conv", "bound loosened", "if q >= count", "if q > count",
        kinds=("bounds", "race", "wrong")),
    Own(TILES, "conv", "idle columns read", "if uint32(left + t) >= count", "if False",
        kinds=("bounds", "wrong")),
    Own(TILES, "conv", "steps of one block", "work + cuda.gridDim.x", "work + uint32(1)",
        kinds=("race",)),
    Own(WEIGHT, TAPS, "chunk of the first", "spot(begin, sizes)", "spot(uint32(0), sizes)",
        kinds=("wrong",)),
    Own(WEIGHT, TAPS, "chunks overlap", "some = min(each, uint32(total - begin))",
        "some = uint32(total - begin)", kinds=("wrong",)),
    Own(GRADIENT, TAPS, "next image left out", "image = uint32(image + uint32(1))", "pass",
        kinds=("wrong",)),
    Own(GRADIENT, TAPS, "end not asked for", "if left > uint32(0)", "if True",
        kinds=("bounds", "wrong")),
    Own("conv.cuda_direct:correlate_weight", TAPS, "bound loosened", "min(total, uint32(q + each))",
        "min(total, uint32(q + each + uint32(1)))", kinds=("wrong",)),
    Own("conv.cuda_direct:channel_sums", TAPS, "last shuffle left out", "(16, 8, 4, 2, 1)",
        "(16, 8, 4, 2)", kinds=("wrong",)),
    Own("conv.cuda_direct:channel_sums", TAPS, "sum of one lane", "if lane == 0", "if True",
        kinds=("race",)),
    Own("conv.cuda_direct:add_parts", TAPS, "first part left out", "k = uint32(0)", "k = uint32(1)",
        kinds=("wrong",)),
)  # fmt: skip
