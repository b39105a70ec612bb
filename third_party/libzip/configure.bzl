"""@libzip: libzip from the system."""

load("//third_party:system.bzl", "pkg_config_library")

def libzip_configure():
    pkg_config_library(
        name = "libzip",
        apt = "libzip-dev",
        headers = ["zip.h"],
        targets = {"zip": "libzip"},
        what = "libzip",
    )
