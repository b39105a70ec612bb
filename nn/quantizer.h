// Fake quantisation on a graph: a tensor rounded to what a format of 8 bits or less can hold, and computed
// with in float32.
//
// Forward rounds (quant/ says how); backward passes the gradient straight through where the number was within
// the format's range and stops it elsewhere (Bengio, Leonard, Courville, "Estimating or Propagating Gradients
// Through Stochastic Neurons for Conditional Computation", 2013). What a quantiser learns, a scale (Esser et
// al., "Learned Step Size Quantization", ICLR 2020) or the values of a codebook, are Parameters of its own,
// and what it remembers are Buffers: both are in the state dict of the layer that it belongs to.
#ifndef HALFTONE_NN_QUANTIZER_H_
#define HALFTONE_NN_QUANTIZER_H_

#include <cstdint>
#include <optional>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/types/optional.h"
#include "absl/types/span.h"
#include "nn/module.h"
#include "nn/quantizer_kernels.h"
#include "quant/block_format.h"
#include "quant/codebook.h"
#include "quant/quant_format.h"
#include "quant/quantization_error.h"
#include "tensor/ops/linear/float8.h"

namespace halftone::nn {

// Where the scale of a scalar, integer or codebook format comes from. Block formats have rules of their own.
enum class ScaleSource {
  kNone,        // of a codebook whose values are learned: they are the numbers themselves
  kCurrent,     // the largest magnitude of the tensor itself
  kDelayed,     // the largest of the last `history` tensors: no pass over this one before it is rounded
  kPercentile,  // that magnitude which `percentile` per cent of the tensor do not exceed
  kMse,         // the one with the least squared error
  kLearned,     // a parameter, started as 2 mean|x| / sqrt(largest code)
};

// What the values of a codebook start from.
enum class CodebookStart {
  kGrid,                 // a small float's values
  kQuantiles,            // the first tensor's quantiles, refined for the least squared error
  kAdditivePowersOfTwo,  // Li, Dong, Wang, "Additive Powers-of-Two Quantization", ICLR 2020
  kGiven,                // QuantizerOptions::values
};

struct QuantizerOptions {
  QuantFormat format = CodebookFormat{"fp8", 8};
  ScaleSource scale = ScaleSource::kCurrent;
  bool per_channel = false;  // a scale for each slice of the first dimension: of weights, an output channel
  int64_t history = 16;      // of kDelayed: tensors
  double percentile = 99.9;  // of kPercentile: above 0, at most 100
  Rounding rounding = Rounding::kNearestEven;  // or kStochastic; not of codebooks
  BlockScaleRule block_rule = BlockScaleRule::kFloor;
  // Of codebooks.
  CodebookStart start = CodebookStart::kQuantiles;
  std::vector<float> values;  // of kGiven: ascending, as many as the format has
  bool learned = true;        // the values
};

class Quantizer : public Module {
 public:
  // outputs: where it is for weights, their first dimension; 0 for other tensors. Blocks run along all inputs
  // of an output, and along the last dimension of other tensors.
  explicit Quantizer(const QuantizerOptions& options, int64_t outputs = 0);

  // x, of any floating dtype, as rounded float32.
  Variable Forward(const Variable& x) override { return RoundAs(x, nullptr); }
  // The same, and whether the result is one of 8-bit floats to the device.
  Variable operator()(const Variable& x, absl::optional<ops::Float8>* float8);
  // The same for a gradient on its way back, which nothing is to be learned from.
  Tensor Quantize(const Tensor& x, const Graph& graph, absl::optional<ops::Float8>* float8 = nullptr);
  using Module::operator();
  void Visit(Visitor& v) override;

  const QuantizerOptions& options() const { return options_; }
  // From now on, what is done to tensors is added up there; null: nowhere.
  void Observe(QuantizationError* error) { observed_ = error; }
  // Whether what it learned and remembers is possible: after a file was read into it.
  absl::Status CheckState() const;

 private:
  struct Scales {
    std::vector<float> scales;
    std::vector<int32_t> zero_points;  // of affine integers alone
  };

  bool has_scale() const { return options_.scale != ScaleSource::kNone; }
  // What blocks run along.
  int64_t RowOf(const Tensor& x) const { return outputs_ > 0 ? x.elements() / outputs_ : x.shape()[-1]; }
  // is_signed: whatever this tensor's numbers are.
  void Start(const Tensor& x, bool is_signed);
  float LearnedRange(absl::Span<const float> x) const;
  std::vector<float> StartingScales(absl::Span<const float> x) const;
  std::vector<float> StartingValues(absl::Span<const float> x, bool is_signed) const;
  std::optional<Codebook> Values() const;  // where the format has them
  Scales CurrentScales(absl::Span<const float> x) const;
  Scales FindScales(absl::Span<const float> x, bool remember);
  Rng RngOf(const Graph& graph) const;
  // What the gradients of scales and values are multiplied by, so that these move, relative to themselves,
  // about as far as the weights do. Scales, and values of activations: LSQ's factor. Values of weights: one
  // over the weights that a value stands for on average (docs/design/0005).
  struct Balance {
    double scale, values;
  };
  Balance BalanceOf(const Tensor& x) const;
  // x, and what is learned beside it.
  std::vector<Variable> InputsFrom(const Variable& x);
  Tensor Round(const Tensor& x, const Scales& scales, const std::optional<Codebook>& codebook,
               const Rng& rng) const;

  Variable RoundAs(const Variable& x, absl::optional<ops::Float8>* float8);

  // The same for an accelerator.
  Variable RoundOn(const QuantizerKernels& kernels, const Variable& x, absl::optional<ops::Float8>* float8);
  absl::optional<ops::Float8> Float8Of(const DeviceScales& scales) const;
  DeviceScales FindScales(const QuantizerKernels& kernels, const Tensor& x, bool remember);
  Tensor Search(const QuantizerKernels& kernels) const;  // of the values; undefined where the format has none
  Tensor Round(const QuantizerKernels& kernels, const Tensor& x, const DeviceScales& scales,
               const Tensor& search, const Rng& rng) const;

  const QuantizerOptions options_;
  const int64_t outputs_;   // 0: not of weights
  const int64_t channels_;  // that have a scale of their own
  QuantizationError* observed_ = nullptr;
  std::optional<Parameter> scale_;     // [channels]
  std::optional<Parameter> codebook_;  // [values]
  std::optional<Buffer> values_;       // of a codebook that is not learned
  std::optional<Buffer> amax_history_;
  std::optional<Buffer> started_;  // 1 once the parameters have their first values
  bool knows_started_ = false;     // that it is 1, without looking; Visit may change it
};

// The quantisers of one layer; each may be absent. Their paths are below the layer's:
// "conv1.weight_quantizer".
struct LayerQuantizers {
  std::optional<Quantizer> input, weight, gradient;

  void Visit(Visitor& v);
};

// Whether a parameter or buffer is a quantiser's, by its path.
bool BelongsToQuantizer(absl::string_view path);

// Of all quantisers of a network; the first error.
absl::Status CheckQuantizers(Module& root);

// A layer whose operands can be quantised.
class Quantizable {
 public:
  virtual ~Quantizable() = default;
  // Of a layer that has weights.
  virtual std::optional<Shape> weight_shape() const { return std::nullopt; }
  // For whoever puts quantisers there: before Initialize.
  virtual LayerQuantizers& quantizers() { return quantizers_; }

 protected:
  LayerQuantizers quantizers_;
};

}  // namespace halftone::nn

#endif  // HALFTONE_NN_QUANTIZER_H_
