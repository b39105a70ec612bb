// Converts the floats of a file of arrays to another type; see kUsage below.
#include <atomic>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <iterator>
#include <memory>
#include <new>
#include <string>
#include <system_error>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "absl/types/optional.h"
#include "base/file.h"
#include "base/status_macros.h"
#include "fp16/format.h"
#include "io/array.h"
#include "io/array_file.h"
#include "io/element_type.h"
#include "io/open_array_file.h"
#include "io/quantized/dequantized_file.h"
#include "io/quantized/quantized_array.h"
#include "quant/formats.h"
#include "quant/quant_format.h"
#include "tensor/shape.h"
#include "tools/command_line.h"
#include "tools/convert/convert_file.h"
#include "tools/convert/convert_quantized.h"
#include "tools/name_filter.h"
#include "tools/progress.h"
#include "tools/raw_options.h"

namespace halftone {
namespace {

constexpr char kUsage[] =
    R"(Converts the floats of a file of arrays (safetensors, PyTorch, npy, npz, csv, ...) to another type.

  convert FILE --to=TYPE --out=FILE

  FILE                 - is the standard input
  --to=TYPE            float16, bfloat16, float8_e4m3fn, float8_e5m2, float8_e4m3fnuz, float8_e5m2fnuz, float32,
                       float64, or as half, bf16, e4m3, ...; or, with scales beside the elements, of floats in two
                       dimensions and more: mxfp8, mxfp8_e5m2, mxfp6, mxfp6_e3m2, mxfp4, mxint8, nvfp4, int8, int4,
                       int2, float6_e2m3fn, float6_e3m2fn, float4_e2m1fn, and codebooks: fp2, fp3, fp4, fp6, fp8,
                       learned ones with the values that the file has. Arrays with scales become numbers again
                       with --to=float32 (float16, ...)
  --per_channel        of int8 to fp8: a scale for each index of the first dimension, not one for all
  --out=FILE           .safetensors, or .npy (one array; keeps neither its name nor metadata). May be the input.
  --include=REGEX      only arrays whose names match (POSIX extended, anywhere in the name); the others are copied
  --exclude=REGEX      but for those whose names match
  --rounding=MODE      nearest_even (default), nearest_away, toward_zero, up, down, to_odd, stochastic
  --seed=N             of stochastic rounding; 0 by default
  --overflow=MODE      what numbers beyond the type's range become, infinities among them: infinity (default; NaN
                       where the type has no infinities), saturate (the largest number), nan. With scales, saturate
  --allow_unsafe       convert also what overflows, is no number, or loses too much
  --dtype=TYPE         FILE is nothing but little-endian elements of this type
  --shape=2x3          of those elements

Integers and bools are copied as they are. To a type that holds every number of the array's nothing is rounded.
docs/quantized_files.md says how arrays with scales lie in a file.
Exit code: 0 done; 1 refused, for the numbers are unsafe in that type; 2 any other error; 130 stopped. Unless it is 0, nothing has
been written.
)";

struct RoundingName {
  absl::string_view name;
  Rounding rounding;
};
constexpr RoundingName kRoundings[] = {
    {"nearest_even", Rounding::kNearestEven},
    {"nearest_away", Rounding::kNearestAway},
    {"toward_zero", Rounding::kTowardZero},
    {"up", Rounding::kUp},
    {"down", Rounding::kDown},
    {"to_odd", Rounding::kToOdd},
    {"stochastic", Rounding::kStochastic},
};

struct OverflowName {
  absl::string_view name;
  Overflow overflow;
};
constexpr OverflowName kOverflows[] = {
    {"infinity", Overflow::kInfinity}, {"saturate", Overflow::kSaturate}, {"nan", Overflow::kNan}};

// The types that are no FloatFormat's.
struct WideName {
  absl::string_view name;
  ElementType type;
};
constexpr WideName kWideNames[] = {
    {"float32", ElementType::kF32}, {"fp32", ElementType::kF32}, {"f32", ElementType::kF32},
    {"float64", ElementType::kF64}, {"fp64", ElementType::kF64}, {"f64", ElementType::kF64},
};

template <class Rows>
std::string Names(const Rows& rows) {
  return absl::StrJoin(rows, ", ", [](std::string* out, const auto& row) { absl::StrAppend(out, row.name); });
}

// The row of that name.
template <class Rows>
auto FindRow(const Rows& rows, absl::string_view flag, absl::string_view name)
    -> absl::StatusOr<std::decay_t<decltype(*std::begin(rows))>> {
  for (const auto& row : rows) {
    if (row.name == name) return row;
  }
  return absl::InvalidArgumentError(absl::StrCat("--", flag, ": unknown '", name, "'; known: ", Names(rows)));
}

// All that --to takes, without other names of the same: what fits elements of files, then what has scales.
std::string TargetNames() {
  std::vector<std::string> plain, scaled;
  for (const FloatFormat& f : kFloatFormats) {
    const absl::string_view name(f.name.data(), f.name.size());
    const bool fits = ElementTypeFromName(name).has_value() && f.has_sign;
    if (fits && !FindStoredFormat(name).ok()) plain.emplace_back(name);
  }
  for (const QuantFormat& f : QuantFormats()) {
    if (FindStoredFormat(NameOf(f)).ok()) scaled.emplace_back(NameOf(f));
  }
  return absl::StrCat(absl::StrJoin(plain, ", "), ", float32, float64, ", absl::StrJoin(scaled, ", "));
}

// A type of elements, or a format with scales.
using Target = std::variant<ElementType, QuantFormat>;

absl::StatusOr<Target> FindTarget(absl::string_view name) {
  for (const WideName& row : kWideNames) {
    if (row.name == name) return row.type;
  }
  if (const absl::StatusOr<QuantFormat> stored = FindStoredFormat(name); stored.ok()) return *stored;
  const absl::StatusOr<FloatFormat> format = FindFloatFormat(name);
  if (!format.ok()) {
    const absl::StatusOr<QuantFormat> other = FindQuantFormat(name);
    const std::string why =
        !other.ok() ? absl::StrCat("unknown format '", name, "'") : absl::StrCat("files hold no ", name);
    return absl::InvalidArgumentError(absl::StrCat("--to: ", why, "; known: ", TargetNames()));
  }
  const absl::optional<ElementType> type = ElementTypeFromName({format->name.data(), format->name.size()});
  if (!type.has_value()) {
    return absl::InvalidArgumentError(absl::StrCat("--to: no file's elements are ", name));
  }
  if (!format->has_sign) {
    return absl::InvalidArgumentError(absl::StrCat("--to: ", name, " is for scales, not for any numbers"));
  }
  return *type;
}

struct Arguments {
  std::string in, out;
  OpenOptions open;
  ConvertOptions convert;
  absl::optional<QuantizeOptions> quantize;  // then `convert` is not looked at
};

// Not by Abseil's flags, which end the program with 1 where one is wrong.
absl::StatusOr<Arguments> ParseArguments(int argc, char** argv) {
  const auto take = [&](absl::string_view name, absl::string_view otherwise) {
    const std::vector<std::string> values = TakeRepeatedFlag(name, &argc, argv);
    return values.empty() ? std::string(otherwise) : values.back();
  };
  Arguments result;
  const std::string to = take("to", ""), out = take("out", ""), seed = take("seed", "0");
  const std::string rounding = take("rounding", "nearest_even"), overflow = take("overflow", "");
  const std::string include = take("include", ""), exclude = take("exclude", "");
  const std::string dtype = take("dtype", ""), shape = take("shape", "");
  std::vector<absl::string_view> files;
  bool flags_end = false, per_channel = false;
  for (int i = 1; i < argc; ++i) {
    const absl::string_view argument = argv[i];
    if (!flags_end && argument == "--per_channel") {
      per_channel = true;
    } else if (!flags_end && argument == "--") {
      flags_end = true;
    } else if (!flags_end && argument == "--allow_unsafe") {
      result.convert.allow_unsafe = true;
    } else if (!flags_end && argument.size() > 1 && argument[0] == '-') {
      return absl::InvalidArgumentError(
          absl::StrCat("unknown flag or no value: ", argument, "; see convert --help"));
    } else {
      files.push_back(argument);
    }
  }
  if (files.size() != 1) {
    return absl::InvalidArgumentError(
        absl::StrCat("one input file is wanted, not ", files.size(), "; see convert --help"));
  }
  if (to.empty() || out.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat("--", to.empty() ? "to" : "out", " is missing; see convert --help"));
  }
  result.in = files[0] == "-" ? "-" : ResolveInputPath(files[0]);
  result.out = ResolveUserPath(out);
  ASSIGN_OR_RETURN(const Target target, FindTarget(to));
  ASSIGN_OR_RETURN(const RoundingName rounding_row, FindRow(kRoundings, "rounding", rounding));
  ASSIGN_OR_RETURN(const OverflowName overflow_row,
                   FindRow(kOverflows, "overflow", overflow.empty() ? "infinity" : overflow));
  result.convert.rounding = rounding_row.rounding;
  result.convert.overflow = overflow_row.overflow;
  if (!absl::SimpleAtoi(seed, &result.convert.seed)) {
    return absl::InvalidArgumentError(
        absl::StrCat("--seed: '", seed, "' is no whole number from 0 to 2^64 - 1"));
  }
  ASSIGN_OR_RETURN(result.convert.names, NameFilter::Create(include, exclude));
  ASSIGN_OR_RETURN(result.open, ParseRawOptions(dtype, shape));
  const QuantFormat* const format = std::get_if<QuantFormat>(&target);
  if (per_channel && (format == nullptr || std::holds_alternative<BlockFormat>(*format))) {
    return absl::InvalidArgumentError(absl::StrCat("--per_channel: ", to, " has no scales but its own"));
  }
  if (format == nullptr) {
    result.convert.to = std::get<ElementType>(target);
    return result;
  }
  if (IsCodebook(*format) && result.convert.rounding != Rounding::kNearestEven) {
    return absl::InvalidArgumentError(
        absl::StrCat("--rounding: ", to, " is a codebook and takes the nearest value; leave it out"));
  }
  if (!overflow.empty() && overflow_row.overflow != Overflow::kSaturate) {
    return absl::InvalidArgumentError(absl::StrCat("--overflow: numbers in ", to, " saturate"));
  }
  result.quantize = {.to = *format,
                     .per_channel = per_channel,
                     .rounding = result.convert.rounding,
                     .seed = result.convert.seed,
                     .names = result.convert.names,
                     .allow_unsafe = result.convert.allow_unsafe};
  return result;
}

std::atomic<bool> stop_requested = false;
static_assert(std::atomic<bool>::is_always_lock_free);  // or a signal handler could not use it

// Each returns the line that says what was done.
absl::StatusOr<std::string> Quantize(const ArrayFile& file, Arguments& arguments, ConvertProgress progress) {
  arguments.quantize->stop = &stop_requested;
  ASSIGN_OR_RETURN(const QuantizeSummary summary,
                   QuantizeFile(file, arguments.out, *arguments.quantize, progress));
  const auto per_number = [&](uint64_t bits) {
    return static_cast<double>(bits) / static_cast<double>(summary.numbers);
  };
  return absl::StrFormat(
      "%d of %d arrays to %s, %d bytes in, %d bytes out, %d numbers at %.4g bits, before at %.4g: %s",
      summary.all.converted, summary.all.arrays, NameOf(arguments.quantize->to), summary.all.bytes_in,
      summary.all.bytes_out, summary.numbers, per_number(summary.bits), per_number(summary.bits_before),
      arguments.out);
}

absl::StatusOr<std::string> Convert(const ArrayFile& file, uint64_t bytes_in, const Arguments& arguments,
                                    ConvertProgress progress) {
  ASSIGN_OR_RETURN(const ConvertSummary summary,
                   ConvertFile(file, arguments.out, arguments.convert, progress));
  return absl::StrFormat("%d of %d arrays to %s, %d bytes in, %d bytes out: %s", summary.converted,
                         summary.arrays, NameOf(arguments.convert.to), bytes_in, summary.bytes_out,
                         arguments.out);
}

// The file with numbers in place of the arrays with scales that are to be converted.
absl::StatusOr<std::unique_ptr<ArrayFile>> Dequantize(std::unique_ptr<ArrayFile> file,
                                                      std::vector<QuantizedArray> quantized,
                                                      Arguments& arguments) {
  std::vector<QuantizedArray> chosen;
  for (QuantizedArray& array : quantized) {
    if (arguments.convert.names.Matches(array.name)) {
      chosen.push_back(std::move(array));
      continue;
    }
    for (FileArray& stored : array.Stored()) arguments.convert.kept.insert(std::move(stored.name));
  }
  return DequantizedFile::Create(arguments.in, std::move(file), std::move(chosen));
}

absl::Status Run(Arguments arguments) {
  std::error_code ignored;
  if (std::filesystem::is_directory(arguments.out, ignored)) {
    return absl::InvalidArgumentError(absl::StrCat("--out: ", arguments.out, " is a directory"));
  }
  arguments.convert.stop = &stop_requested;
  try {
    ASSIGN_OR_RETURN(std::unique_ptr<ArrayFile> file, OpenArrayFile(arguments.in, arguments.open));
    ASSIGN_OR_RETURN(std::vector<QuantizedArray> quantized, FindQuantized(arguments.in, *file));
    FileProgress progress(stderr, TerminalWidth(stderr));
    absl::string_view now;
    const auto report = [&](absl::string_view doing, uint64_t done, uint64_t all) {
      if (now != doing) progress.Start(std::string(now = doing));
      progress.Update(done, all);
    };
    uint64_t bytes_in = 0;
    for (const FileArray& array : file->arrays()) bytes_in += *FileBytes(array.type, array.shape.dims());
    if (!quantized.empty() && arguments.quantize.has_value()) {
      return absl::InvalidArgumentError(absl::StrCat(arguments.in, ": array ", QuotedName(quantized[0].name),
                                                     " is in ", NameOf(quantized[0].format),
                                                     " already; convert to float32 first"));
    }
    if (!quantized.empty()) {
      ASSIGN_OR_RETURN(file, Dequantize(std::move(file), std::move(quantized), arguments));
    }
    const absl::StatusOr<std::string> done = arguments.quantize.has_value()
                                                 ? Quantize(*file, arguments, report)
                                                 : Convert(*file, bytes_in, arguments, report);
    progress.Finish();
    RETURN_IF_ERROR(done.status());
    absl::PrintF("%s\n", *done);
    return absl::OkStatus();
  } catch (const std::bad_alloc&) {
    return absl::ResourceExhaustedError(absl::StrCat(arguments.in, ": out of memory"));
  }
}

int Main(int argc, char** argv) {
  for (int i = 1; i < argc; ++i) {
    if (const absl::string_view argument = argv[i]; argument == "--help" || argument == "-h") {
      std::fputs(kUsage, stdout);
      return std::fflush(stdout) == 0 ? 0 : 2;
    }
  }
  absl::StatusOr<Arguments> arguments = ParseArguments(argc, argv);
  for (const int signal : {SIGINT, SIGTERM, SIGHUP}) {
    std::signal(signal, [](int number) {
      stop_requested = true;
      std::signal(number, SIG_DFL);  // a second one ends at once
    });
  }
  const absl::Status status = arguments.ok() ? Run(*std::move(arguments)) : arguments.status();
  if (status.ok()) return 0;
  Fail("convert", status);
  return absl::IsCancelled(status) ? 130 : absl::IsFailedPrecondition(status) ? 1 : 2;
}

}  // namespace
}  // namespace halftone

int main(int argc, char** argv) { return halftone::Main(argc, argv); }
