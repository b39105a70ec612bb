"""@onednn: oneDNN from $ONEDNN_ROOT (a prefix with include/ and lib/), else from Debian.

A prefix is what this makes (oneDNN 3.2, plain OpenMP):

    pip install --no-deps --prefix=$ONEDNN_ROOT onednn-cpu-gomp==2023.2.0 onednn-devel-cpu-gomp==2023.2.0
"""

load("//third_party:system.bzl", "HEADER", "cc_library_text", "missing")

def _version(rctx, header):
    """MAJOR.MINOR.PATCH from dnnl_version.h."""
    words = rctx.read(header).replace("\n", " ").split(" ")
    return ".".join([words[words.index("DNNL_VERSION_" + part) + 1] for part in ("MAJOR", "MINOR", "PATCH")])

def _impl(rctx):
    root = rctx.os.environ.get("ONEDNN_ROOT", "")
    if root:
        library = rctx.path(root + "/lib/libdnnl.so.3")
        include = rctx.path(root + "/include/oneapi/dnnl/dnnl.hpp")
        for path in (library, include):
            if not path.exists:
                fail("ONEDNN_ROOT=%s has no %s; unset it for Debian's oneDNN, or see third_party/onednn/configure.bzl" % (root, path))
        rctx.symlink(root + "/include", "include")
        rctx.symlink(library, "lib/libdnnl.so.3")
        rctx.file("BUILD", HEADER + """
cc_library(
    name = "onednn",
    srcs = ["lib/libdnnl.so.3"],
    hdrs = glob(["include/oneapi/dnnl/*"]),
    includes = ["include"],
    linkopts = ["-lgomp"],
)
""")
        return
    if not rctx.path("/usr/include/oneapi/dnnl/dnnl.hpp").exists:
        missing("oneDNN", "no /usr/include/oneapi/dnnl/dnnl.hpp", "libdnnl-dev")
    version = _version(rctx, "/usr/include/oneapi/dnnl/dnnl_version.h")
    rctx.file("BUILD", HEADER + cc_library_text("onednn", version, linkopts = ["-ldnnl"]))

onednn_configure = repository_rule(
    implementation = _impl,
    configure = True,
    environ = ["ONEDNN_ROOT"],
)
