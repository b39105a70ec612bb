// Prints the facts of every number format that Halftone knows, one line each: floats, integers, blocks,
// codebooks; with --ops, which precision autocast runs every op in; with --recipes, the precision recipes;
// with --activations, the activations and their largest errors.

#include "quant/formats.h"

#include <cstdio>
#include <cstdlib>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/string_view.h"
#include "amp/op_table.h"
#include "amp/recipe.h"
#include "nn/cast_policy.h"
#include "quant/block_format.h"
#include "quant/integer_format.h"
#include "quant/quant_format.h"
#include "tensor/dtype.h"
#include "tensor/ops/activation/activation.h"
#include "tools/command_line.h"

namespace halftone {
namespace {

constexpr char kUsage[] =
    R"(Prints what Halftone knows, a line each.

  formats                number formats: floats, integers, blocks, codebooks
  formats --ops          the precision in which autocast runs each op
  formats --recipes      the precision recipes
  formats --activations  the activations and their largest errors
)";

// Exactly where that takes at most six digits, else as the literature does: 65504, 0.125, 3.39e+38, 6.10e-05.
std::string Number(double value) {
  const std::string digits = absl::StrFormat("%.6g", value);
  return std::strtod(digits.c_str(), nullptr) == value ? digits : absl::StrFormat("%.2e", value);
}

const char* NanName(const FloatFormat& format) {
  switch (format.nan_codes) {
    case NanCodes::kIeee:
      return "as IEEE 754";
    case NanCodes::kAllOnes:
      return "all ones";
    case NanCodes::kNegativeZero:
      return "negative zero";
    case NanCodes::kNone:
      break;
  }
  return "none";
}

void PrintOps() {
  constexpr char kRow[] = "%-20s %-16s %s\n";
  absl::PrintF(kRow, "op", "precision", "because");
  for (const amp::OpRow& row : amp::OpTable()) {
    absl::PrintF(kRow, nn::NameOf(row.op), amp::NameOf(row.cast), row.why);
  }
}

void PrintRecipes() {
  constexpr char kRow[] = "%-10s %-15s %-10s %-11s %s\n";
  absl::PrintF(kRow, "recipe", "also called", "lower", "loss scale", "");
  for (const amp::Recipe& recipe : amp::Recipes()) {
    absl::PrintF(kRow, recipe.name, recipe.alias, recipe.lower.has_value() ? NameOf(*recipe.lower) : "none",
                 recipe.scales_loss ? "dynamic" : "none", recipe.about);
  }
}

// The error columns are those of y in units in the last place, 0.5 being correct rounding, and of dx in
// epsilons of dy.
void PrintActivations() {
  constexpr char kRow[] = "%-11s %-31s %-21s %-7s %-8s %-15s %s\n";
  const auto errors = [](const ops::ActivationErrors& e) {
    return absl::StrFormat("%-4g %-4g %g", e.f32, e.f16, e.bf16);
  };
  absl::PrintF(kRow, "", "", "", "", "", "ulp of y", "epsilons of dx");
  absl::PrintF(kRow, "activation", "formula", "kinks", "saves", "learns", "f32  f16  bf16", "f32  f16  bf16");
  for (const ops::Activation& row : ops::Activations()) {
    absl::PrintF(kRow, row.name, row.formula, row.kink.empty() ? "none" : row.kink,
                 row.saves_output ? "output" : "input",
                 row.learned.has_value() ? absl::StrFormat("a = %g", *row.learned) : "nothing",
                 errors(row.error), errors(row.gradient_error));
  }
}

void PrintFormats() {
  constexpr char kRow[] = "%-18s %4s %8s %8s %4s %9s %15s %18s %9s %6s %5s %10s  %s\n";
  absl::PrintF(kRow, "format", "bits", "exponent", "mantissa", "bias", "largest", "smallest normal",
               "smallest subnormal", "epsilon", "digits", "zeros", "infinities", "NaN codes");
  for (const FloatFormat& format : kFloatFormats) {
    absl::PrintF(kRow, format.name, absl::StrFormat("%d", format.bits()),
                 absl::StrFormat("%d", format.exponent_bits), absl::StrFormat("%d", format.mantissa_bits),
                 absl::StrFormat("%d", format.bias), Number(format.largest_finite()),
                 Number(format.smallest_normal()),
                 format.has_zero() ? Number(format.smallest_subnormal()) : "none", Number(format.epsilon()),
                 absl::StrFormat("%.1f", format.decimal_digits()),
                 format.has_negative_zero() ? "+-0"
                 : format.has_zero()        ? "0"
                                            : "none",
                 format.has_infinity ? "yes" : "no", NanName(format));
  }
}

void PrintIntegers() {
  constexpr char kRow[] = "%-18s %4s %6s %7s  %s\n";
  absl::PrintF(kRow, "integer", "bits", "lowest", "highest", "zero point");
  for (const IntegerFormat& format : kIntegerFormats) {
    absl::PrintF(kRow, format.name, absl::StrFormat("%d", format.bits),
                 absl::StrFormat("%d", format.lowest()), absl::StrFormat("%d", format.highest()),
                 format.affine ? "yes" : "no");
  }
}

void PrintBlocks() {
  constexpr char kRow[] = "%-18s %4s  %-14s %5s  %s\n";
  absl::PrintF(kRow, "blocks", "bits", "element", "block", "scale");
  for (const BlockFormat& format : kBlockFormats) {
    absl::PrintF(
        kRow, format.name, absl::StrFormat("%.4g", format.bits_per_element()),
        format.element.has_value() ? format.element->name : "int8", absl::StrFormat("%d", format.block),
        format.scale == BlockScale::kE8m0 ? "float8_e8m0fnu" : "float8_e4m3fn, and a float32 for the tensor");
  }
}

void PrintCodebooks() {
  constexpr char kRow[] = "%-18s %4s %7s\n";
  absl::PrintF(kRow, "codebook", "bits", "values");
  for (const CodebookFormat& format : kCodebookFormats) {
    absl::PrintF(kRow, format.name, absl::StrFormat("%d", format.bits), absl::StrFormat("%d", format.size()));
  }
}

}  // namespace
}  // namespace halftone

int main(int argc, char** argv) {
  const absl::string_view what = argc > 1 ? argv[1] : "";
  if (what == "--help" || what == "-h") {
    return std::fputs(halftone::kUsage, stdout) >= 0 && std::fflush(stdout) == 0 ? 0 : 1;
  }
  if (argc > 2 || (!what.empty() && what != "--ops" && what != "--recipes" && what != "--activations")) {
    return halftone::Fail("formats", absl::InvalidArgumentError(absl::StrCat(
                                         "unexpected argument \"", argv[argc - 1],
                                         "\"; expected nothing, --ops, --recipes, --activations or --help")));
  }
  if (what == "--ops") {
    halftone::PrintOps();
  } else if (what == "--recipes") {
    halftone::PrintRecipes();
  } else if (what == "--activations") {
    halftone::PrintActivations();
  } else {
    halftone::PrintFormats();
    std::fputs("\n", stdout);
    halftone::PrintIntegers();
    std::fputs("\n", stdout);
    halftone::PrintBlocks();
    std::fputs("\n", stdout);
    halftone::PrintCodebooks();
  }
  // A full disk or a closed pipe shows only when the output is flushed.
  return std::fflush(stdout) == 0 ? 0 : 1;
}
