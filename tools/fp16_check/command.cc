#include "tools/fp16_check/command.h"

#include <algorithm>
#include <cstdint>
#include <limits>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/types/span.h"
#include "base/status_macros.h"
#include "fp16/format.h"
#include "fp16/safety.h"
#include "quant/formats.h"
#include "quant/quant_format.h"
#include "tools/command_line.h"
#include "tools/name_filter.h"
#include "tools/raw_options.h"

namespace halftone {
namespace {

constexpr char kUsage[] =
    R"(Audits files of numbers or weights before they are converted to a narrower format: what would overflow,
underflow or lose accuracy, tensor by tensor. docs/safety.md explains the report.

  fp16_check FILE... [flags]

FILE is safetensors, PyTorch, npy, npz, IDX, CIFAR, csv, ...; - is the standard input.

  --format=NAME,...           the formats to check: half (default), bfloat16, float8_e4m3fn, ...; with scales of their
                              own: mxfp4, nvfp4, int8, fp4, ...; or all
  --tensor=REGEX              only tensors whose names match (POSIX extended, anywhere in the name)
  --exclude=REGEX             but for those whose names match
  --integers                  check integers and bools too, which a conversion leaves alone
  --top=N                     show only the N worst tensors of each table, worst first
  --json=FILE                 also write the report as JSON; - writes it to stdout, in place of the tables
  --html=FILE                 also write the report as a page for a browser

A tensor is unsafe in a format if it holds a NaN or an infinity, or if of its numbers
  --max_overflow=COUNT        more overflow (default 0)
  --max_underflow_fraction=F  a larger fraction becomes 0 (default 0.01)
  --min_sqnr_db=DB            the signal-to-quantisation-noise ratio is lower (default 20)
  --allow_infinities          infinities are safe where the format has them

  --device=cuda               count on NVIDIA GPU 0: worth it for big files; the same counts. Formats with scales of
                              their own are measured on the CPU
  --dtype=TYPE                the files are raw: nothing but little-endian elements of this type
  --shape=2x3                 of those elements

Exit code: 0 every tensor is safe as it is; 1 some are not; 2 something could not be checked.
)";

absl::Status Refuse(absl::string_view flag, absl::string_view value, absl::string_view expected) {
  return absl::InvalidArgumentError(absl::StrCat("--", flag, "=", value, ": expected ", expected));
}

void AddFormat(const QuantFormat& format, std::vector<QuantFormat>& formats) {
  for (const QuantFormat& known : formats) {
    if (NameOf(known) == NameOf(format)) return;
  }
  formats.push_back(format);
}

std::string FormatsWithScales() {
  std::vector<std::string> names;
  for (const QuantFormat& format : QuantFormats()) {
    if (HasScales(format)) names.emplace_back(NameOf(format));
  }
  return absl::StrJoin(names, ", ");
}

// Lists with commas in between. "all": every row of kFloatFormats that has a sign, and QuantFormats. What is
// named twice counts once.
absl::StatusOr<std::vector<QuantFormat>> ParseFormats(absl::Span<const std::string> lists) {
  std::vector<QuantFormat> formats;
  for (const std::string& list : lists) {
    for (const absl::string_view part : absl::StrSplit(list, ',')) {
      const absl::string_view name = absl::StripAsciiWhitespace(part);
      if (name == "all") {
        for (const FloatFormat& format : kFloatFormats) {
          if (format.has_sign) AddFormat(format, formats);
        }
        for (const QuantFormat& format : QuantFormats()) AddFormat(format, formats);
        continue;
      }
      const absl::StatusOr<FloatFormat> format = FindFloatFormat(name);
      if (!format.ok()) {
        const absl::StatusOr<QuantFormat> other = FindQuantFormat(name);
        if (!other.ok()) {
          return absl::InvalidArgumentError(absl::StrCat("--format: ", format.status().message(), ", ",
                                                         FormatsWithScales(), ", and all for every format"));
        }
        AddFormat(*other, formats);
        continue;
      }
      if (!format->has_sign) return Refuse("format", name, "a format with a sign");
      AddFormat(*format, formats);
    }
  }
  return formats;
}

absl::StatusOr<double> ParseNumber(absl::string_view flag, absl::string_view text, double highest,
                                   absl::string_view expected) {
  double value;
  if (!absl::SimpleAtod(text, &value) || !(value >= 0 && value <= highest)) {
    return Refuse(flag, text, expected);
  }
  return value;
}

absl::StatusOr<uint64_t> ParseCount(absl::string_view flag, absl::string_view text) {
  uint64_t value;
  if (!absl::SimpleAtoi(text, &value)) return Refuse(flag, text, "a whole number, 0 or more");
  return value;
}

}  // namespace

absl::StatusOr<Command> ParseCommand(int argc, char** argv) {
  Command command;
  const auto take = [&](absl::string_view name, absl::string_view otherwise) {
    const std::vector<std::string> values = TakeRepeatedFlag(name, &argc, argv);
    return values.empty() ? std::string(otherwise) : values.back();
  };
  std::vector<std::string> formats = TakeRepeatedFlag("format", &argc, argv);
  if (formats.empty()) formats.push_back("half");
  const std::string tensor = take("tensor", ""), exclude = take("exclude", ""), top = take("top", "0");
  const std::string max_overflow = take("max_overflow", "0"), min_sqnr_db = take("min_sqnr_db", "20");
  const std::string max_underflow_fraction = take("max_underflow_fraction", "0.01");
  const std::string device = take("device", "cpu"), dtype = take("dtype", ""), shape = take("shape", "");
  command.json = take("json", "");
  command.html = take("html", "");
  bool flags_end = false;
  for (int i = 1; i < argc; ++i) {
    const absl::string_view argument = argv[i];
    if (flags_end || argument.size() < 2 || argument[0] != '-') {
      command.files.emplace_back(argument);
    } else if (argument == "--") {
      flags_end = true;
    } else if (argument == "--integers") {
      command.check.integers = true;
    } else if (argument == "--allow_infinities") {
      command.check.limits.allow_infinities = true;
    } else if (argument == "--help" || argument == "-h") {
      command.help = true;
      return command;
    } else {
      return absl::InvalidArgumentError(
          absl::StrCat("unknown flag or no value: ", argument, "; see fp16_check --help"));
    }
  }
  if (command.files.empty()) return absl::InvalidArgumentError("no file is named; see fp16_check --help");
  if (std::ranges::count(command.files, "-") > 1) {
    return absl::InvalidArgumentError("- is named twice, but the standard input can be read only once");
  }
  if (!command.json.empty() && command.json == command.html) {
    return absl::InvalidArgumentError("--json and --html name the same file");
  }
  ASSIGN_OR_RETURN(command.check.formats, ParseFormats(formats));
  ASSIGN_OR_RETURN(command.check.names, NameFilter::Create(tensor, exclude, "tensor"));
  SafetyLimits& limits = command.check.limits;
  ASSIGN_OR_RETURN(limits.max_overflows, ParseCount("max_overflow", max_overflow));
  ASSIGN_OR_RETURN(
      limits.max_underflow_fraction,
      ParseNumber("max_underflow_fraction", max_underflow_fraction, 1, "a fraction from 0 to 1"));
  ASSIGN_OR_RETURN(
      limits.min_sqnr_db,
      ParseNumber("min_sqnr_db", min_sqnr_db, std::numeric_limits<double>::max(), "decibels, 0 or more"));
  if (device != "cpu" && device != "cuda") return Refuse("device", device, "cpu or cuda");
  command.on_gpu = device == "cuda";
  ASSIGN_OR_RETURN(command.top, ParseCount("top", top));
  ASSIGN_OR_RETURN(command.open, ParseRawOptions(dtype, shape));
  return command;
}

absl::string_view CommandUsage() { return kUsage; }

}  // namespace halftone
