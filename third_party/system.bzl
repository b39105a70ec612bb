"""What every rule that finds a library on this machine shares: the errors, and pkg-config."""

HEADER = 'package(default_visibility = ["//visibility:public"])\n\n'

def missing(what, detail, apt):
    fail("""

  {what} was not found on this machine ({detail}).
  On Debian or Ubuntu install it with

      apt-get install {apt}

  (./bazelw does so by itself.)
""".format(what = what, detail = detail, apt = apt))

def require_headers(rctx, what, headers, apt):
    for header in headers:
        if not rctx.path("/usr/include/" + header).exists:
            missing(what, "no /usr/include/" + header, apt)

def pkg_config(rctx, module, what, apt):
    """Returns (copts, linkopts, version) of a pkg-config module, or stops naming the package."""
    tool = rctx.which("pkg-config")
    if not tool:
        missing("pkg-config", "not on PATH", "pkg-config")
    result = rctx.execute([tool, "--cflags", "--libs", module])
    if result.return_code != 0:
        missing(what, result.stderr.strip().split("\n")[0], apt)
    copts, linkopts = [], []
    for word in result.stdout.split(" "):
        word = word.strip()
        if word[:2] in ("-l", "-L") or word.startswith("-Wl,") or word == "-pthread":
            linkopts.append(word)
        elif word[:2] in ("-D", "-I"):
            copts.append(word)
    return copts, linkopts, rctx.execute([tool, "--modversion", module]).stdout.strip()

def cc_library_text(name, version, copts = [], linkopts = [], includes = []):
    """The text of a cc_library for a system library.

    Headers below /usr/include need no declaration, and Bazel does not watch them: `version` becomes a
    define, so that an upgraded package is compiled against again.
    """
    define = "HALFTONE_%s_VERSION=%s" % (name.upper().replace("-", "_"), version.replace(" ", "_"))
    return """cc_library(
    name = {name},
    hdrs = glob([{globs}]),
    defines = {defines},
    includes = {includes},
    linkopts = {linkopts},
)
""".format(
        name = repr(name),
        defines = repr([c[2:] for c in copts if c.startswith("-D")] + [define]),
        globs = ", ".join([repr(i + "/**/*.h") for i in includes]),
        includes = repr(includes),
        linkopts = repr(linkopts),
    )

def _pkg_config_library_impl(rctx):
    require_headers(rctx, rctx.attr.what, rctx.attr.headers, rctx.attr.apt)
    body = HEADER
    for name, module in rctx.attr.targets.items():
        copts, linkopts, version = pkg_config(rctx, module, rctx.attr.what, rctx.attr.apt)
        includes = []
        for directory in [c[2:] for c in copts if c.startswith("-I")]:
            includes.append("include_%s_%d" % (name, len(includes)))
            rctx.symlink(directory, includes[-1])
        body += cc_library_text(name, version, copts, linkopts + rctx.attr.extra_linkopts.get(name, []), includes)
    rctx.file("BUILD", body)

# One library of the system that pkg-config knows: targets maps a target's name to a pkg-config module.
pkg_config_library = repository_rule(
    implementation = _pkg_config_library_impl,
    configure = True,
    attrs = {
        "apt": attr.string(mandatory = True),
        "extra_linkopts": attr.string_list_dict(),
        "headers": attr.string_list(),
        "targets": attr.string_dict(mandatory = True),
        "what": attr.string(mandatory = True),
    },
)
