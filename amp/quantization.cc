#include "amp/quantization.h"

#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/status_macros.h"
#include "quant/codebook.h"
#include "quant/quant_format.h"
#include "tensor/ops/linear/float8_kernels.h"

namespace halftone::amp {
namespace {

constexpr double kFewBits = 4.5;  // with a block's share of its scale

struct Layer {
  std::string path;
  nn::Quantizable* quantizable;
  std::array<std::optional<nn::QuantizerOptions>, 3> roles;
};

class LayerCollector : public nn::Visitor {
 public:
  std::vector<Layer> layers;

 private:
  void OnModule(const std::string& path, nn::Module& module) override {
    if (auto* q = dynamic_cast<nn::Quantizable*>(&module)) layers.push_back({path, q, {}});
  }
};

// What is usual for a format and a role.
nn::QuantizerOptions Defaults(const QuantFormat& format, Role role) {
  nn::QuantizerOptions o = {.format = format};
  const bool gradient = role == Role::kGradients;
  const bool few_bits = BitsPerElement(format) <= kFewBits;
  // Rounding to nearest would lose most of what is small, and gradients are: Gupta et al. 2015.
  if (gradient && BitsPerElement(format) < 8 && !IsCodebook(format)) o.rounding = Rounding::kStochastic;
  if (std::holds_alternative<FloatFormat>(format)) {
    // Delayed scaling: Micikevicius et al., "FP8 Formats for Deep Learning", 2022, and NVIDIA's Transformer
    // Engine.
    if (role != Role::kWeights) o.scale = nn::ScaleSource::kDelayed;
  } else if (const auto* integer = std::get_if<IntegerFormat>(&format)) {
    o.per_channel = role == Role::kWeights;
    if (few_bits && o.per_channel && !integer->affine) o.scale = nn::ScaleSource::kLearned;
  } else if (IsCodebook(format)) {
    o.learned = !gradient;
    o.start = gradient ? nn::CodebookStart::kGrid : nn::CodebookStart::kQuantiles;
    if (role == Role::kActivations) o.scale = nn::ScaleSource::kNone;
  }
  return o;
}

// The 8-bit format that stands in for one of few bits.
absl::string_view EdgeFormat(const QuantFormat& format) {
  if (std::holds_alternative<IntegerFormat>(format)) {
    return std::get<IntegerFormat>(format).affine ? "int8_affine" : "int8";
  }
  if (std::holds_alternative<BlockFormat>(format)) return "mxfp8";
  return IsCodebook(format) ? "fp8" : "float8_e4m3fn";
}

absl::Status SetFormat(absl::string_view name, Role role, std::optional<nn::QuantizerOptions>& to) {
  if (name == "none") {
    to.reset();
    return absl::OkStatus();
  }
  ASSIGN_OR_RETURN(const QuantFormat format, FindQuantFormat(name));
  to = Defaults(format, role);
  return absl::OkStatus();
}

absl::Status Apply(const QuantizationRule& rule, Role role, const Layer& layer,
                   std::optional<nn::QuantizerOptions>& to) {
  const auto refuse = [&](absl::string_view what) {
    return absl::InvalidArgumentError(
        absl::StrCat("precision.quantize: ", NameOf(role), " of ", layer.path, ": ", what));
  };
  if (rule.format.has_value()) RETURN_IF_ERROR(SetFormat(*rule.format, role, to));
  if (!to.has_value()) {
    if (rule.format.has_value()) return absl::OkStatus();
    return refuse("not quantised, so there is nothing to change; give a format");
  }
  if (rule.scale.has_value()) to->scale = *rule.scale;
  if (rule.per_channel.has_value()) to->per_channel = *rule.per_channel;
  if (rule.history.has_value()) to->history = *rule.history;
  if (rule.percentile.has_value()) to->percentile = *rule.percentile;
  if (rule.rounding.has_value()) to->rounding = *rule.rounding;
  if (rule.block_rule.has_value()) to->block_rule = *rule.block_rule;
  if (rule.start.has_value()) to->start = *rule.start;
  if (rule.learned.has_value()) to->learned = *rule.learned;
  if (!to->learned && to->scale == nn::ScaleSource::kNone) to->scale = nn::ScaleSource::kCurrent;
  if (!rule.values.empty()) {
    to->start = nn::CodebookStart::kGiven;
    to->values = rule.values;
  }
  if (rule.block_size.has_value()) {
    auto* block = std::get_if<BlockFormat>(&to->format);
    if (block == nullptr)
      return refuse(absl::StrCat("block_size, but ", NameOf(to->format), " has no blocks"));
    if (*rule.block_size != 16 && *rule.block_size != 32) {
      return refuse(absl::StrCat("block_size is ", *rule.block_size, ", expected 16 or 32"));
    }
    block->block = static_cast<int>(*rule.block_size);
    const std::optional<Shape> shape = layer.quantizable->weight_shape();
    if (role == Role::kWeights && shape.has_value()) {
      const int64_t row = shape->elements() / (*shape)[0];
      if (row % *rule.block_size != 0) {
        return refuse(absl::StrCat("block_size ", *rule.block_size, " does not divide the ", row,
                                   " inputs of an output; expected a divisor"));
      }
    }
  }
  return absl::OkStatus();
}

// What no format or role goes with.
absl::Status Check(const nn::QuantizerOptions& o, Role role, const std::string& path) {
  const auto refuse = [&](absl::string_view what) {
    return absl::InvalidArgumentError(
        absl::StrCat("precision.quantize: ", NameOf(role), " of ", path, ": ", what));
  };
  if (o.per_channel && role != Role::kWeights) return refuse("per_channel is for weights alone");
  if (o.scale == nn::ScaleSource::kLearned && role == Role::kGradients) {
    return refuse("a scale cannot be learned of gradients; expected another scale");
  }
  if (o.scale == nn::ScaleSource::kDelayed && o.per_channel) {
    return refuse("a delayed scale is one a tensor; leave per_channel out");
  }
  if (o.history < 1 || o.history > 65536) {
    return refuse(absl::StrCat("history is ", o.history, ", expected 1 to 65536"));
  }
  if (!(o.percentile > 0 && o.percentile <= 100)) {
    return refuse(absl::StrCat("percentile is ", o.percentile, ", expected above 0, at most 100"));
  }
  const auto* integer = std::get_if<IntegerFormat>(&o.format);
  if (integer != nullptr && integer->affine &&
      (o.scale == nn::ScaleSource::kLearned || o.scale == nn::ScaleSource::kDelayed)) {
    return refuse(absl::StrCat(halftone::NameOf(o.format),
                               " takes its zero point from the tensor itself; expected another scale"));
  }
  const auto* codebook = std::get_if<CodebookFormat>(&o.format);
  if (o.scale == nn::ScaleSource::kNone && (codebook == nullptr || !o.learned || o.per_channel)) {
    return refuse(
        "no scale is for a codebook whose values are learned, and one a tensor; expected another scale");
  }
  if (codebook == nullptr) {
    if (!o.values.empty()) return refuse(absl::StrCat("values, but ", NameOf(o.format), " is no codebook"));
    return absl::OkStatus();
  }
  if (o.rounding != Rounding::kNearestEven)
    return refuse("a codebook takes the nearest value; leave rounding out");
  if (o.learned && role == Role::kGradients) return refuse("values cannot be learned of gradients");
  if (o.scale == nn::ScaleSource::kMse)
    return refuse("a codebook takes no MSE scale; expected another scale");
  if (o.start != nn::CodebookStart::kGiven) return absl::OkStatus();
  if (o.values.size() != static_cast<size_t>(codebook->size())) {
    return refuse(absl::StrCat(o.values.size(), " values given; ", halftone::NameOf(o.format), " has ",
                               codebook->size()));
  }
  const absl::StatusOr<Codebook> values = Codebook::Create(o.values);
  return values.ok() ? absl::OkStatus() : refuse(values.status().message());
}

// The layer, or a module that it is in.
bool MatchesAround(absl::string_view pattern, absl::string_view path) {
  for (;;) {
    if (nn::MatchesPath(pattern, path)) return true;
    const size_t dot = path.rfind('.');
    if (dot == absl::string_view::npos) return false;
    path = path.substr(0, dot);
  }
}

absl::Status UnknownPath(const QuantizationRule& rule, const std::vector<Layer>& layers) {
  const auto append = [](std::string* out, const Layer& l) { absl::StrAppend(out, l.path); };
  return absl::InvalidArgumentError(absl::StrCat("precision.quantize: path \"", rule.path,
                                                 "\" matches no layer that can be quantised; the model has ",
                                                 absl::StrJoin(layers, ", ", append)));
}

void Attach(const Layer& layer) {
  nn::LayerQuantizers& to = layer.quantizable->quantizers();
  const std::optional<Shape> shape = layer.quantizable->weight_shape();
  if (layer.roles[0].has_value() && shape.has_value()) to.weight.emplace(*layer.roles[0], (*shape)[0]);
  if (layer.roles[1].has_value()) to.input.emplace(*layer.roles[1]);
  if (layer.roles[2].has_value()) to.gradient.emplace(*layer.roles[2]);
}

}  // namespace

absl::string_view EmulationNote(const Device& device) {
  if (device.Kernels<ops::Float8LinearKernels>() == nullptr) {
    return "formats of 8 bits and less are emulated: numbers are rounded to them, arithmetic is float32";
  }
  return "linear maps of float8_e4m3fn and float8_e5m2, with one scale a tensor and sizes that are multiples "
         "of "
         "16, run in float8; convolutions, attention and all other formats of 8 bits and less are emulated: "
         "numbers are rounded to them, arithmetic is float32";
}

absl::StatusOr<QuantizationSummary> Quantize(const QuantizationOptions& options, nn::Module& model) {
  LayerCollector collector;
  model.Visit(collector);
  std::vector<Layer>& layers = collector.layers;
  std::vector<Layer*> weighted;
  for (Layer& layer : layers) {
    if (layer.quantizable->weight_shape().has_value()) weighted.push_back(&layer);
  }
  for (Layer& layer : layers) {
    const bool edge = !weighted.empty() && (&layer == weighted.front() || &layer == weighted.back());
    for (const Role role : kRoles) {
      if (options.formats[role].empty()) continue;
      std::optional<nn::QuantizerOptions>& to = layer.roles[static_cast<size_t>(role)];
      RETURN_IF_ERROR(SetFormat(options.formats[role], role, to));
      if (edge && options.edges_in_8_bits && BitsPerElement(to->format) <= kFewBits) {
        RETURN_IF_ERROR(SetFormat(EdgeFormat(to->format), role, to));
      }
    }
  }
  for (const QuantizationRule& rule : options.rules) {
    bool matched = false;
    const std::vector<Role> roles =
        rule.roles.empty() ? std::vector<Role>{Role::kWeights, Role::kActivations} : rule.roles;
    for (Layer& layer : layers) {
      if (!(rule.alone ? rule.path == layer.path : MatchesAround(rule.path, layer.path))) continue;
      matched = true;
      for (const Role role : roles) {
        if (role == Role::kWeights && !layer.quantizable->weight_shape().has_value()) continue;
        RETURN_IF_ERROR(Apply(rule, role, layer, layer.roles[static_cast<size_t>(role)]));
      }
    }
    if (!matched && rule.must_match) return UnknownPath(rule, layers);
  }

  QuantizationSummary summary;
  for (const Layer& layer : layers) {
    QuantizedLayer& row = summary.layers.emplace_back();
    row.path = layer.path;
    const std::optional<Shape> shape = layer.quantizable->weight_shape();
    if (shape.has_value()) row.weights = shape->elements();
    row.weight_bytes = 4.0 * static_cast<double>(row.weights);
    for (const Role role : kRoles) {
      const size_t r = static_cast<size_t>(role);
      if (!layer.roles[r].has_value() || (role == Role::kWeights && !shape.has_value())) continue;
      RETURN_IF_ERROR(Check(*layer.roles[r], role, layer.path));
      const absl::string_view name = halftone::NameOf(layer.roles[r]->format);
      row.formats[r] = std::string(name);
      row.bits[r] = BitsPerElement(layer.roles[r]->format);
      if (role == Role::kWeights) {
        const int64_t outputs = (*shape)[0], scales = layer.roles[r]->per_channel ? outputs : 1;
        row.weight_bytes = StoredBytes(layer.roles[r]->format, outputs, shape->elements() / outputs, scales);
      }
    }
    Attach(layer);
  }
  return summary;
}

bool QuantizationSummary::any() const {
  return std::any_of(layers.begin(), layers.end(), [](const QuantizedLayer& layer) {
    return std::any_of(layer.formats.begin(), layer.formats.end(),
                       [](const std::string& f) { return !f.empty(); });
  });
}

std::vector<std::string> QuantizationSummary::Lines() const {
  std::vector<std::pair<std::string, std::vector<std::string>>> choices;
  for (const QuantizedLayer& layer : layers) {
    std::vector<std::string> parts;
    for (const Role role : kRoles) {
      const std::string& format = layer.formats[static_cast<size_t>(role)];
      if (role == Role::kWeights && layer.weights == 0) continue;
      parts.push_back(absl::StrCat(NameOf(role), " ", format.empty() ? "float32" : format));
    }
    const std::string choice = absl::StrJoin(parts, ", ");
    auto it = std::find_if(choices.begin(), choices.end(), [&](const auto& c) { return c.first == choice; });
    if (it == choices.end()) it = choices.insert(it, {choice, {}});
    it->second.push_back(layer.path);
  }
  std::vector<std::string> lines;
  for (const auto& [choice, paths] : choices) {
    constexpr size_t kNamed = 3;
    lines.push_back(paths.size() <= kNamed ? absl::StrCat(choice, ": ", absl::StrJoin(paths, ", "))
                                           : absl::StrCat(choice, ": ", paths.size(), " layers"));
  }
  return lines;
}

}  // namespace halftone::amp
