"""@com_github_google_benchmark: Google Benchmark from the system."""

load("//third_party:system.bzl", "pkg_config_library")

def benchmark_configure():
    pkg_config_library(
        name = "com_github_google_benchmark",
        apt = "libbenchmark-dev",
        extra_linkopts = {"benchmark_main": ["-lbenchmark_main", "-lbenchmark", "-pthread"]},
        headers = ["benchmark/benchmark.h"],
        targets = {"benchmark": "benchmark", "benchmark_main": "benchmark"},
        what = "Google Benchmark",
    )
