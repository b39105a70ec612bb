"""@com_google_protobuf: protoc and its library from the system, for the native proto_library and cc_proto_library."""

load("//third_party:system.bzl", "HEADER", "cc_library_text", "missing", "pkg_config", "require_headers")

_WKP = [
    "any", "api", "descriptor", "duration", "empty", "field_mask", "source_context",
    "struct", "timestamp", "type", "wrappers",
]

def _impl(rctx):
    protoc = rctx.which("protoc")
    if not protoc:
        missing("protoc", "not on PATH", "protobuf-compiler")
    require_headers(rctx, "Protocol Buffers", ["google/protobuf/message.h", "google/protobuf/any.proto"], "libprotobuf-dev")
    _, linkopts, version = pkg_config(rctx, "protobuf", "Protocol Buffers", "libprotobuf-dev")
    rctx.symlink(protoc, "protoc")
    for proto in _WKP:
        rctx.symlink("/usr/include/google/protobuf/%s.proto" % proto, "google/protobuf/%s.proto" % proto)
    body = HEADER + 'exports_files(["protoc"])\n'
    body += cc_library_text("protobuf", version, linkopts = linkopts)
    for proto in _WKP:
        deps = {
            "api": ["source_context", "type"],
            "type": ["any", "source_context"],
        }.get(proto, [])
        body += """proto_library(
    name = "{p}_proto",
    srcs = ["google/protobuf/{p}.proto"],
    deps = {deps},
)
""".format(p = proto, deps = repr([":%s_proto" % d for d in deps]))
    # The names native.cc_proto_library and proto_library look for.
    body += """
filegroup(name = "well_known_protos", srcs = glob(["google/protobuf/*.proto"]))
proto_lang_toolchain(
    name = "cc_toolchain",
    command_line = "--cpp_out=$(OUT)",
    runtime = ":protobuf",
    blacklisted_protos = [{wkp}],
)
""".format(wkp = ", ".join(['":%s_proto"' % p for p in _WKP]))
    rctx.file("BUILD", body)

protobuf_configure = repository_rule(implementation = _impl, configure = True)
