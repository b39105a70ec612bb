"""device_test: one test, on every device that there is."""

load("//bazel:cuda.bzl", "REQUIRES_CUDA")

def device_test(name, srcs, deps, size = "small", data = [], shard_count = None, devices = ["cpu", "simt", "cuda"]):
    """Tests that take their device from testing/device.h: on the CPU as `name`, with the GPU's kernels run on the host
    as `name`_simt, and on the GPU, in a CUDA build, as `name`_cuda: skipped where there is none.

    Args:
      name: of the test on the CPU.
      srcs: the tests.
      deps: without any of the devices.
      size: as ever.
      data: as ever.
      shard_count: as ever.
      devices: on which.
    """
    for suffix, device, tags, compatible in [t for t in [
        ("", "cpu", [], []),
        ("_simt", "simt", [], []),
        ("_cuda", "cuda", ["gpu", "exclusive"], REQUIRES_CUDA),
    ] if t[1] in devices]:
        native.cc_test(
            name = name + suffix,
            size = size,
            srcs = srcs,
            data = data,
            shard_count = shard_count,
            tags = tags,
            target_compatible_with = compatible,
            deps = deps + ["//testing:%s_device" % device],
        )
