"""Every dependency, found on this machine; nothing is ever downloaded. README.md says why each is here."""

load("//third_party/absl:configure.bzl", "absl_configure")
load("//third_party/benchmark:configure.bzl", "benchmark_configure")
load("//third_party/bazel_rules:configure.bzl", "bazel_rules")
load("//third_party/cuda:configure.bzl", "cuda_configure")
load("//third_party/googletest:configure.bzl", "googletest_configure")
load("//third_party/highway:configure.bzl", "highway_configure")
load("//third_party/libzip:configure.bzl", "libzip_configure")
load("//third_party/nlohmann_json:configure.bzl", "nlohmann_json_configure")
load("//third_party/onednn:configure.bzl", "onednn_configure")
load("//third_party/protobuf:configure.bzl", "protobuf_configure")

def halftone_repositories():
    bazel_rules()
    absl_configure(name = "com_google_absl")
    protobuf_configure(name = "com_google_protobuf")
    googletest_configure(name = "com_google_googletest")
    onednn_configure(name = "onednn")
    cuda_configure(name = "local_cuda")
    benchmark_configure()
    highway_configure()
    libzip_configure()
    nlohmann_json_configure()
