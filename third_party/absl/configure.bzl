"""@com_google_absl: Abseil from the system, under upstream's labels (@com_google_absl//absl/status:statusor ...)."""

load("//third_party:system.bzl", "HEADER", "cc_library_text", "pkg_config", "require_headers")

# Directory of absl/ -> its targets. "module:name" where the pkg-config module (absl_module) has another name.
_TARGETS = {
    "algorithm": ["algorithm_container:container"],
    "base": ["config", "core_headers"],
    "cleanup": ["cleanup"],
    "container": ["btree", "flat_hash_map", "flat_hash_set", "inlined_vector", "node_hash_map", "node_hash_set"],
    "debugging": ["failure_signal_handler", "stacktrace", "symbolize"],
    "flags": ["flags:flag", "flags_parse:parse", "flags_reflection:reflection", "flags_usage:usage"],
    "functional": ["any_invocable", "function_ref"],
    "hash": ["hash"],
    "memory": ["memory"],
    "numeric": ["bits", "int128"],
    "status": ["status", "statusor"],
    "strings": ["str_format", "strings"],
    "synchronization": ["synchronization"],
    "time": ["time"],
    "types": ["optional", "span"],
}

def _impl(rctx):
    require_headers(rctx, "Abseil", ["absl/base/config.h"], "libabsl-dev")
    for directory, targets in _TARGETS.items():
        body = HEADER
        for target in targets:
            module, _, name = target.partition(":")
            copts, linkopts, version = pkg_config(rctx, "absl_" + module, "Abseil's " + module, "libabsl-dev")
            body += cc_library_text(name or module, version, copts, linkopts)
        rctx.file("absl/" + directory + "/BUILD", body)

absl_configure = repository_rule(implementation = _impl, configure = True)
