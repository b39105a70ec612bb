"""@com_google_highway: Google Highway from the system."""

load("//third_party:system.bzl", "pkg_config_library")

def highway_configure():
    pkg_config_library(
        name = "com_google_highway",
        apt = "libhwy-dev",
        headers = ["hwy/highway.h"],
        targets = {"hwy": "libhwy"},
        what = "Google Highway",
    )
