"""@com_google_googletest: GoogleTest and GoogleMock from the system; as upstream, :gtest holds gmock too."""

load("//third_party:system.bzl", "HEADER", "cc_library_text", "pkg_config", "require_headers")

def _impl(rctx):
    require_headers(rctx, "GoogleTest", ["gtest/gtest.h"], "libgtest-dev")
    require_headers(rctx, "GoogleMock", ["gmock/gmock.h"], "libgmock-dev")
    _, _, version = pkg_config(rctx, "gtest", "GoogleTest", "libgtest-dev")
    libraries = ["-lgmock", "-lgtest", "-pthread"]
    rctx.file("BUILD", HEADER +
                       cc_library_text("gtest", version, linkopts = libraries) +
                       cc_library_text("gtest_main", version, linkopts = ["-lgmock_main"] + libraries))

googletest_configure = repository_rule(implementation = _impl, configure = True)
