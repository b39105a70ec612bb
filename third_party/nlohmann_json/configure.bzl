"""@nlohmann_json: JSON for Modern C++ from the system."""

load("//third_party:system.bzl", "pkg_config_library")

def nlohmann_json_configure():
    pkg_config_library(
        name = "nlohmann_json",
        apt = "nlohmann-json3-dev",
        headers = ["nlohmann/json.hpp"],
        targets = {"json": "nlohmann_json"},
        what = "JSON for Modern C++",
    )
