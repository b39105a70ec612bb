#include "tools/sweep/estimate.h"

#include <algorithm>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "amp/quantization.h"
#include "amp/recipe.h"
#include "base/philox.h"
#include "base/status_macros.h"
#include "nn/functional.h"
#include "nn/graph.h"
#include "nn/module.h"
#include "tensor/ops/cast/cast.h"
#include "tensor/tensor.h"
#include "train/build.h"

namespace halftone::sweep {
namespace {

constexpr double kBitsPerMebibyte = 8.0 * (1 << 20);
constexpr double kFullBits = 32;

double BitsOf(DType dtype) { return 8.0 * static_cast<double>(SizeOf(dtype)); }
double Mebibytes(double bits) { return bits / kBitsPerMebibyte; }

// A model, not quantised, and how it would be.
struct Subject {
  std::unique_ptr<nn::Module> model;
  amp::QuantizationSummary quantization;
  PrecisionPolicies policies;
  bool pure = false;
};

// What is kept for the backward pass.
struct Kept {
  double bits = 0;      // of activations
  double elements = 0;  // of activations
  double other = 0;     // bits of what no op gives out as its result: statistics, indices, masks

  Kept operator+(const Kept& k) const { return {bits + k.bits, elements + k.elements, other + k.other}; }
  Kept operator*(double by) const { return {bits * by, elements * by, other * by}; }
};

absl::StatusOr<Subject> MakeSubject(const TrainConfig& config, const Dataset& dataset, Device& device) {
  Subject s;
  ASSIGN_OR_RETURN(const amp::Recipe recipe, amp::FindRecipe(config.precision().recipe()));
  {
    ASSIGN_OR_RETURN(const amp::QuantizationOptions options, MakeQuantization(config.precision(), recipe));
    ASSIGN_OR_RETURN(const std::unique_ptr<nn::Module> quantised, MakeConfiguredModel(config, dataset));
    ASSIGN_OR_RETURN(s.quantization, amp::Quantize(options, *quantised));
  }
  ASSIGN_OR_RETURN(s.policies, MakePolicies(config.precision(), recipe));
  ASSIGN_OR_RETURN(s.model, MakeConfiguredModel(config, dataset));
  nn::Initialize(*s.model, device, Rng(config.run().seed()));
  s.pure = recipe.pure;
  if (s.pure) {
    for (nn::Parameter* p : nn::Parameters(*s.model)) p->SetMaster(ops::Cast(p->master(), *recipe.lower));
  }
  return s;
}

// Zeros; of texts, as long as they may be.
Batch BlankBatch(const Dataset& dataset, int64_t n, Device& device) {
  Tensor labels = Tensor::Zeros(device, DType::kI64, {n});
  if (const ImageDataset* d = dataset.images()) {
    return {Tensor::Zeros(device, DType::kF32, {n, d->height, d->width, d->channels}), std::move(labels)};
  }
  const int64_t length = dataset.texts()->max_length;
  Tensor texts = Tensor::Zeros(device, DType::kI64, {n, 3, length});
  for (int64_t i = 0; i < n; ++i) {  // the attention mask
    std::fill_n(texts.data<int64_t>() + (3 * i + 1) * length, length, 1);
  }
  return {std::move(texts), std::move(labels)};
}

// The activation bits of the place in the network that a forward pass has come to.
class ActivationBits {
 public:
  explicit ActivationBits(const amp::QuantizationSummary& quantization) : layers_(quantization.layers) {
    if (!layers_.empty()) bits_ = Of(layers_[0]);
  }

  double At(absl::string_view module) {
    for (const amp::QuantizedLayer& layer : layers_) {
      if (module == layer.path || absl::StartsWith(module, absl::StrCat(layer.path, "."))) bits_ = Of(layer);
    }
    return bits_;
  }

 private:
  static double Of(const amp::QuantizedLayer& layer) {
    return layer.bits[static_cast<size_t>(amp::Role::kActivations)];
  }

  const std::vector<amp::QuantizedLayer>& layers_;
  double bits_ = kFullBits;
};

Kept KeptBy(Subject& subject, const Dataset& dataset, int64_t n, Device& device) {
  struct Seen {
    Tensor tensor;
    double bits;  // an element
  };
  const Batch batch = BlankBatch(dataset, n, device);
  const auto live = [&] { return device.allocator().stats().live_bytes; };
  Kept kept;
  for (const bool warm_up : {true, false}) {  // the first pass makes working copies and the like
    std::vector<Seen> seen;
    std::set<const void*> storages = {batch.input.raw()};
    ActivationBits bits(subject.quantization);
    kept = {.bits = std::min(BitsOf(batch.input.dtype()), bits.At("")) *
                    static_cast<double>(batch.input.elements()),
            .elements = static_cast<double>(batch.input.elements())};
    nn::GraphOptions options = {.device = &device,
                                .policy = &subject.policies.whole,
                                .overrides = subject.policies.parts,
                                .rng = Rng(0),
                                .training = true};
    options.trace = [&](const nn::TraceEvent& event) {
      if (event.tensor != "output") return;  // a parameter's working copy
      const double of_layer = bits.At(event.module);
      if (!storages.insert(event.value.raw()).second) return;  // the same memory in another shape
      const double own = BitsOf(event.value.dtype());
      seen.push_back({event.value, IsFloat(event.value.dtype()) ? std::min(own, of_layer) : own});
    };
    const int64_t before = live();
    nn::Graph graph(std::move(options));
    nn::ClassificationLoss(subject.model->Forward(graph.Input(batch.input)), batch.labels, {});
    if (warm_up) continue;
    // What lives on without our handle is kept by the graph.
    double known = 0;
    for (Seen& s : seen) {
      const auto elements = static_cast<double>(s.tensor.elements());
      const auto bytes = static_cast<double>(s.tensor.bytes());
      const int64_t with = live();
      s.tensor = Tensor();
      if (live() != with) continue;
      known += bytes;
      kept = kept + Kept{.bits = elements * s.bits, .elements = elements};
    }
    kept.other = 8 * std::max(0.0, static_cast<double>(live() - before) - known);
  }
  return kept;
}

const amp::QuantizedLayer* LayerOfWeights(const amp::QuantizationSummary& quantization,
                                          const std::string& path, const nn::Parameter& p) {
  for (const amp::QuantizedLayer& layer : quantization.layers) {
    if (layer.weights > 0 && layer.weights == p.shape().elements() &&
        absl::StartsWith(path, absl::StrCat(layer.path, "."))) {
      return &layer;
    }
  }
  return nullptr;
}

double Slots(const OptimizerConfig& config) {
  if (config.has_adam() || config.has_adamw()) return 2;
  return config.sgd().momentum() != 0 ? 1 : 0;
}

// After a forward pass, since working copies come with it.
void CountParameters(Subject& subject, const TrainConfig& config, RunFacts& facts) {
  double parameters = 0, count = 0, weights = 0, weight_bits = 0;
  const bool kahan = subject.pure && config.precision().weight_rounding() == PrecisionConfig::KAHAN;
  nn::ForEachParameter(*subject.model, [&](const std::string& path, nn::Parameter& p) {
    const auto n = static_cast<double>(p.shape().elements());
    double master = BitsOf(p.master().dtype()), working = 0;
    if (p.mutable_working16() != nullptr) working = 16;
    if (const amp::QuantizedLayer* layer = LayerOfWeights(subject.quantization, path, p)) {
      constexpr auto kWeights = static_cast<size_t>(amp::Role::kWeights);
      if (!layer->formats[kWeights].empty()) working = layer->bits[kWeights];
      weights += n;
      weight_bits += n * (working > 0 ? working : master);
    }
    if (kahan) master += 16;
    parameters += n * (master + working);
    count += n;
  });
  nn::ForEachBuffer(*subject.model, [&](const std::string&, nn::Buffer& b) {
    parameters += 8 * static_cast<double>(b.value.bytes());
  });
  MemoryEstimate& memory = *facts.mutable_memory();
  memory.set_parameters(Mebibytes(parameters));
  memory.set_gradients(Mebibytes(count * kFullBits));
  memory.set_optimizer(Mebibytes(count * kFullBits * Slots(config.optimizer())));
  facts.set_weight_bits(weights > 0 ? weight_bits / weights : kFullBits);
}

}  // namespace

absl::StatusOr<RunFacts> EstimateRun(const TrainConfig& config, const Dataset& dataset) {
  Device device(/*notes=*/nullptr);
  ASSIGN_OR_RETURN(Subject subject, MakeSubject(config, dataset, device));
  const Kept two = KeptBy(subject, dataset, 2, device), four = KeptBy(subject, dataset, 4, device);
  const Kept each = (four + two * -1) * 0.5;
  const auto examples = static_cast<double>(config.data().batch_size() / config.data().micro_batches());
  const Kept kept = two + each * (examples - 2);
  RunFacts facts;
  CountParameters(subject, config, facts);
  facts.mutable_memory()->set_activations(Mebibytes(kept.bits + kept.other));
  facts.set_activation_bits(kept.bits / std::max(1.0, kept.elements));
  facts.set_emulated(subject.quantization.any() || !device.Said().empty());
  return facts;
}

}  // namespace halftone::sweep
