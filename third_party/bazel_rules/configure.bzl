"""Stand-ins for four repositories that Bazel 4 would download silently."""

def _native_rules_impl(rctx):
    rctx.file(rctx.attr.package + "/BUILD", "")
    rctx.file(rctx.attr.package + "/defs.bzl", "".join([
        "def {r}(**kwargs):\n    native.{r}(**kwargs)\n\n".format(r = r)
        for r in rctx.attr.rules
    ]))

# Bazel 4 has the C++, Java and protobuf rules built in, yet its own tools load
# them from @rules_cc, @rules_java and @rules_proto, which it would download.
# (Debian's bazel-rules-cc 0.0.4 is too new for Debian's Bazel 4.2.3.) These
# hand the built-in ones back under those names.
native_rules = repository_rule(
    implementation = _native_rules_impl,
    attrs = {
        "package": attr.string(mandatory = True),
        "rules": attr.string_list(mandatory = True),
    },
)

def _no_coverage_impl(rctx):
    rctx.file("report.sh", "#!/bin/sh\necho 'coverage reports are not available here' >&2\nexit 1\n", executable = True)
    rctx.file("BUILD", """package(default_visibility = ["//visibility:public"])
sh_binary(name = "coverage_report_generator", srcs = ["report.sh"])
sh_binary(name = "lcov_merger", srcs = ["report.sh"])
""")

# Every test rule depends on this repository, which Bazel 4 would download.
no_coverage_tools = repository_rule(implementation = _no_coverage_impl)

def bazel_rules():
    no_coverage_tools(name = "remote_coverage_tools")
    native_rules(
        name = "rules_cc",
        package = "cc",
        rules = ["cc_binary", "cc_import", "cc_library", "cc_proto_library", "cc_test", "cc_toolchain", "cc_toolchain_suite", "objc_library"],
    )
    native_rules(
        name = "rules_java",
        package = "java",
        rules = ["java_binary", "java_import", "java_library", "java_proto_library", "java_runtime", "java_test", "java_toolchain"],
    )
    native_rules(
        name = "rules_proto",
        package = "proto",
        rules = ["proto_lang_toolchain", "proto_library"],
    )
