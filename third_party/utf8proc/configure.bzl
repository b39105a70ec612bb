"""@utf8proc: utf8proc from the system."""

load("//third_party:system.bzl", "pkg_config_library")

def utf8proc_configure():
    pkg_config_library(
        name = "utf8proc",
        apt = "libutf8proc-dev",
        headers = ["utf8proc.h"],
        targets = {"utf8proc": "libutf8proc"},
        what = "utf8proc",
    )
