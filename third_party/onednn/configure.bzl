"""@onednn: oneDNN from $ONEDNN_ROOT (a prefix with include/ and lib/), else from Debian.

A prefix is what this makes (oneDNN 3.2, plain OpenMP):

    pip install --no-deps --prefix=$ONEDNN_ROOT onednn-cpu-gomp==2023.2.0 onednn-devel-cpu-gomp==2023.2.0
"""

load("//third_party:system.bzl", "missing")

def _impl(rctx):
    header = 'package(default_visibility = ["//visibility:public"])\n'
    root = rctx.os.environ.get("ONEDNN_ROOT", "")
    if root:
        library = rctx.path(root + "/lib/libdnnl.so.3")
        include = rctx.path(root + "/include/oneapi/dnnl/dnnl.hpp")
        for path in (library, include):
            if not path.exists:
                fail("ONEDNN_ROOT=%s has no %s; unset it for Debian's oneDNN, or see third_party/onednn/configure.bzl" % (root, path))
        rctx.symlink(root + "/include", "include")
        rctx.symlink(library, "lib/libdnnl.so.3")
        rctx.file("BUILD", header + """
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
    rctx.file("BUILD", header + 'cc_library(name = "onednn", linkopts = ["-ldnnl"])\n')

onednn_configure = repository_rule(
    implementation = _impl,
    configure = True,
    environ = ["ONEDNN_ROOT"],
)
