// Which tensors of which layers are quantised, and to what: a recipe's formats under the rules of a config.
//
//   ASSIGN_OR_RETURN(const QuantizationSummary summary, Quantize(recipe.quantization, rules, model));
//
// Weights and activations are rounded in the forward pass, gradients on their way back; all arithmetic is
// float32 (nn/quantizer.h). What is quantised are the operands of convolutions, linear layers and attention.
#ifndef HALFTONE_AMP_QUANTIZATION_H_
#define HALFTONE_AMP_QUANTIZATION_H_

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "nn/module.h"
#include "nn/quantizer.h"
#include "tensor/device.h"

namespace halftone::amp {

enum class Role : uint8_t { kWeights, kActivations, kGradients };
inline constexpr std::array<absl::string_view, 3> kRoleNames = {"weights", "activations", "gradients"};
inline constexpr std::array<Role, 3> kRoles = {Role::kWeights, Role::kActivations, Role::kGradients};
constexpr absl::string_view NameOf(Role role) { return kRoleNames[static_cast<size_t>(role)]; }

// The formats of a recipe, by name; empty: float32 (or the recipe's lower precision).
struct RoleFormats {
  absl::string_view weights = {}, activations = {}, gradients = {};

  absl::string_view operator[](Role role) const {
    return role == Role::kWeights ? weights : role == Role::kActivations ? activations : gradients;
  }
  bool any() const { return !weights.empty() || !activations.empty() || !gradients.empty(); }
};

// A change for some layers and roles. What is left out stays as it was.
struct QuantizationRule {
  // Of layers, or of a module around them, as parameters are named; * stands for any characters.
  std::string path = "*";
  std::vector<Role> roles;  // empty: weights and activations
  // Of quant/quant_format.h, with its defaults for the role; "none": as it is.
  std::optional<std::string> format;
  std::optional<nn::ScaleSource> scale;
  std::optional<bool> per_channel;  // of weights alone
  std::optional<int64_t> history;
  std::optional<double> percentile;
  std::optional<Rounding> rounding;
  std::optional<BlockScaleRule> block_rule;
  std::optional<int64_t> block_size;
  std::optional<nn::CodebookStart> start;
  std::vector<float> values;  // of a codebook; not empty: start is kGiven
  std::optional<bool> learned;
  bool must_match = true;  // some layer; otherwise that is an error
  bool alone = false;      // the layer of this path, not those within it
};

struct QuantizationOptions {
  RoleFormats formats;
  // The first and the last layer with weights in 8 bits where the rest has 4 or fewer: what Zhou et al.,
  // "DoReFa-Net", 2016, and most since find to cost little and to matter much. Rules come after.
  bool edges_in_8_bits = true;
  std::vector<QuantizationRule> rules;
};

// What a log should say of formats of 8 bits and less on a device: what it emulates.
absl::string_view EmulationNote(const Device& device);

struct QuantizedLayer {
  std::string path;
  int64_t weights = 0;                        // how many
  std::array<std::string, 3> formats;         // by Role; empty: not quantised
  std::array<double, 3> bits = {32, 32, 32};  // an element, by Role
  double weight_bytes = 0;                    // of all of them, stored: codes, scales, a codebook's values
};

struct QuantizationSummary {
  std::vector<QuantizedLayer> layers;  // all that could be quantised, in the order of Visit

  bool any() const;
  // A line for each different choice: "weights mxfp4, activations mxfp4, gradients float32: 17 layers".
  std::vector<std::string> Lines() const;
};

// Makes the layers' quantisers. Before nn::Initialize. Errors: a name that no table has, a pattern that
// matches no layer that can be quantised, a value out of its range, a codebook that is none, a block size
// that does not divide.
absl::StatusOr<QuantizationSummary> Quantize(const QuantizationOptions& options, nn::Module& model);

}  // namespace halftone::amp

#endif  // HALFTONE_AMP_QUANTIZATION_H_
