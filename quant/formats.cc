#include "quant/formats.h"

#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace halftone {
namespace {

struct Alias {
  std::string_view name;
  FloatFormat format;
};

constexpr Alias kAliases[] = {
    {"half", kFloat16},
    {"fp16", kFloat16},
    {"f16", kFloat16},
    {"bf16", kBfloat16},
    {"fp8_e4m3fn", kFloat8E4m3fn},
    {"fp8_e4m3", kFloat8E4m3fn},
    {"e4m3fn", kFloat8E4m3fn},
    {"e4m3", kFloat8E4m3fn},
    {"fp8_e5m2", kFloat8E5m2},
    {"e5m2", kFloat8E5m2},
    {"e3m4", kFloat8E3m4},
    {"e4m3b11fnuz", kFloat8E4m3b11fnuz},
    {"e4m3fnuz", kFloat8E4m3fnuz},
    {"e5m2fnuz", kFloat8E5m2fnuz},
    {"fp6_e2m3", kFloat6E2m3fn},
    {"e2m3", kFloat6E2m3fn},
    {"fp6_e3m2", kFloat6E3m2fn},
    {"e3m2", kFloat6E3m2fn},
    {"fp4_e2m1", kFloat4E2m1fn},
    {"e2m1", kFloat4E2m1fn},
    {"e8m0", kFloat8E8m0fnu},
};

}  // namespace

absl::StatusOr<FloatFormat> FindFloatFormat(absl::string_view name) {
  const std::string_view wanted(name.data(), name.size());
  for (const FloatFormat& format : kFloatFormats) {
    if (format.name == wanted) return format;
  }
  for (const Alias& alias : kAliases) {
    if (alias.name == wanted) return alias.format;
  }
  const auto append_name = [](std::string* to, const auto& row) { to->append(row.name); };
  return absl::InvalidArgumentError(
      absl::StrCat("unknown format '", name, "'; known: ", absl::StrJoin(kFloatFormats, ", ", append_name),
                   ", ", absl::StrJoin(kAliases, ", ", append_name)));
}

}  // namespace halftone
