#include "nn/quantizer.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "quant/codebook_init.h"
#include "quant/scaled.h"
#include "quant/scales.h"
#include "tensor/ops/cast/cast.h"

namespace halftone::nn {
namespace {

bool IsBlocks(const QuantFormat& format) { return std::holds_alternative<BlockFormat>(format); }

// The largest value of a format, whose scale is 1. A codebook without learned values ends at 1, and is as
// fine there as integers of as many bits.
double Largest(const QuantFormat& format) {
  if (const auto* f = std::get_if<FloatFormat>(&format)) return f->largest_finite();
  if (const auto* f = std::get_if<IntegerFormat>(&format)) return f->highest();
  return 1;
}

// The steps from 0 to the largest value, which LSQ balances its gradients by.
double Steps(const QuantFormat& format) {
  if (const auto* f = std::get_if<CodebookFormat>(&format)) return std::max(1, f->size() / 2 - 1);
  return Largest(format);
}

Tensor FromDoubles(Device& device, absl::Span<const double> values, double factor) {
  Tensor t = Tensor::Empty(device, DType::kF32, {static_cast<int64_t>(values.size())});
  for (size_t i = 0; i < values.size(); ++i) t.data<float>()[i] = static_cast<float>(factor * values[i]);
  return t;
}

ScaleRule RuleOf(ScaleSource source) {
  switch (source) {
    case ScaleSource::kPercentile:
      return ScaleRule::kPercentile;
    case ScaleSource::kMse:
      return ScaleRule::kMse;
    case ScaleSource::kNone:
    case ScaleSource::kCurrent:
    case ScaleSource::kDelayed:
    case ScaleSource::kLearned:
      break;
  }
  return ScaleRule::kAmax;
}

// A block's scale is made so that its largest number is within the range.
Variable RecordBlocks(Graph& graph, Tensor y, const Variable& x) {
  return graph.Record("fake_quantize", std::move(y), {x}, [](BackwardContext& c) { c.Give(0, c.dy()); });
}

}  // namespace

Quantizer::Quantizer(const QuantizerOptions& options, int64_t outputs)
    : options_(options), outputs_(outputs), channels_(options.per_channel ? outputs : 1) {
  HALFTONE_CHECK(channels_ > 0);
  if (IsBlocks(options_.format)) return;
  bool started = false;
  if (options_.scale == ScaleSource::kLearned) {
    scale_.emplace(Shape({channels_}), Init::Constant(1));
    started = true;
  } else if (options_.scale == ScaleSource::kDelayed) {
    HALFTONE_CHECK(channels_ == 1 && options_.history > 0);
    amax_history_ = Buffer{.shape = {options_.history}};
  }
  if (const auto* f = std::get_if<CodebookFormat>(&options_.format)) {
    if (options_.learned) {
      codebook_.emplace(Shape({f->size()}), Init::Constant(0));
    } else {
      values_ = Buffer{.shape = {f->size()}};
    }
    started = true;
  }
  if (started) started_ = Buffer{.shape = {}, .dtype = DType::kI64};
  // Neither has a reason to be near zero.
  if (scale_.has_value()) scale_->set_decays(false);
  if (codebook_.has_value()) {
    codebook_->set_decays(false);
    codebook_->set_ascending();
  }
}

void Quantizer::Visit(Visitor& v) {
  knows_started_ = false;
  if (scale_.has_value()) v("scale", *scale_);
  if (codebook_.has_value()) v("codebook", *codebook_);
  if (values_.has_value()) v("codebook", *values_);
  if (amax_history_.has_value()) v("amax_history", *amax_history_);
  if (started_.has_value()) v("started", *started_);
}

// The first tensor says where what is learned begins.
void Quantizer::Start(const Tensor& tensor, bool is_signed) {
  if (!started_.has_value() || knows_started_) return;
  knows_started_ = started_->value.data<int64_t>()[0] != 0;
  if (knows_started_) return;
  // Nothing can be learned of zeros: they stay what they are, and the next tensor is waited for.
  const absl::Span<const float> x = tensor.span<float>();
  if (Amax(x) == 0) return;
  started_->value.data<int64_t>()[0] = 1;
  knows_started_ = true;
  if (scale_.has_value()) {
    const size_t row = x.size() / static_cast<size_t>(channels_);
    for (size_t i = 0; i < static_cast<size_t>(channels_); ++i) {
      scale_->mutable_master().data<float>()[i] =
          LearnedRange(x.subspan(i * row, row)) / static_cast<float>(Largest(options_.format));
    }
    scale_->MarkUpdated();
  }
  if (!IsCodebook(options_.format)) return;
  const std::vector<float> start = StartingValues(x, is_signed);
  Tensor& to = codebook_.has_value() ? codebook_->mutable_master() : values_->value;
  std::copy(start.begin(), start.end(), to.data<float>());
  if (codebook_.has_value()) codebook_->MarkUpdated();
}

// The largest magnitude that is worth a code: what LSQ starts from.
float Quantizer::LearnedRange(absl::Span<const float> x) const {
  const double steps = Steps(options_.format);
  return LsqInitialScale(x, steps) * static_cast<float>(steps);
}

// Those that x is about to be rounded with.
std::vector<float> Quantizer::StartingScales(absl::Span<const float> x) const {
  if (!has_scale()) return {1};
  if (!scale_.has_value()) return CurrentScales(x).scales;
  const absl::Span<const float> learned = scale_->master().span<float>();
  return {learned.begin(), learned.end()};
}

// In the unit of the scales, which is 1 where the values carry the scale themselves.
std::vector<float> Quantizer::StartingValues(absl::Span<const float> x, bool is_signed) const {
  const CodebookFormat& format = std::get<CodebookFormat>(options_.format);
  if (options_.start == CodebookStart::kGiven) return options_.values;
  is_signed = is_signed || std::any_of(x.begin(), x.end(), [](float v) { return v < 0; });
  const absl::StatusOr<Codebook> values =
      options_.start == CodebookStart::kQuantiles ? QuantileCodebook(x, StartingScales(x), format.size())
      : options_.start == CodebookStart::kGrid    ? MinifloatCodebook(format.bits, is_signed)
                                                  : AdditivePowersOfTwoCodebook(format.bits, is_signed);
  HALFTONE_CHECK(values.ok());
  std::vector<float> start(values->values().begin(), values->values().end());
  if (options_.start != CodebookStart::kQuantiles && !has_scale()) {
    const float range = LearnedRange(x);
    for (float& v : start) v *= range;
  }
  return start;
}

std::optional<Codebook> Quantizer::Values() const {
  if (!IsCodebook(options_.format)) return std::nullopt;
  const Tensor& values = codebook_.has_value() ? codebook_->master() : values_->value;
  return Codebook::Create(values.span<float>()).value();
}

absl::Status Quantizer::CheckState() const {
  if (scale_.has_value()) {
    for (const float s : scale_->master().span<float>()) {
      if (!std::isfinite(s))
        return absl::DataLossError(absl::StrCat(path(), ".scale has ", s, "; expected finite numbers"));
    }
  }
  if (amax_history_.has_value()) {
    const absl::Span<const float> remembered = std::as_const(amax_history_->value).span<float>();
    const absl::Status status = AmaxHistory(remembered.size()).Restore(remembered);
    if (!status.ok()) return absl::DataLossError(absl::StrCat(path(), ".amax_history: ", status.message()));
  }
  if (!IsCodebook(options_.format) || started_->value.data<int64_t>()[0] == 0) return absl::OkStatus();
  const Tensor& values = codebook_.has_value() ? codebook_->master() : values_->value;
  const absl::Status status = Codebook::Create(values.span<float>()).status();
  return status.ok() ? status : absl::DataLossError(absl::StrCat(path(), ".codebook: ", status.message()));
}

Quantizer::Scales Quantizer::CurrentScales(absl::Span<const float> x) const {
  Scales s = {.scales = std::vector<float>(static_cast<size_t>(channels_))};
  const ScaleOptions options = {.rule = RuleOf(options_.scale), .percentile = options_.percentile};
  if (const auto* f = std::get_if<IntegerFormat>(&options_.format)) {
    if (f->affine) {
      s.zero_points.resize(s.scales.size());
      ComputeScales(*f, x, options, absl::MakeSpan(s.scales), absl::MakeSpan(s.zero_points));
    } else {
      ComputeScales(*f, x, options, absl::MakeSpan(s.scales));
    }
  } else if (const auto* f = std::get_if<FloatFormat>(&options_.format)) {
    ComputeScales(*f, x, options, absl::MakeSpan(s.scales));
  } else {
    ComputeScales(Largest(options_.format), x, options, absl::MakeSpan(s.scales));
  }
  return s;
}

Quantizer::Scales Quantizer::FindScales(absl::Span<const float> x, bool remember) {
  if (IsBlocks(options_.format)) return {};
  if (!has_scale()) return {.scales = {1}};
  if (scale_.has_value()) {
    // A step too far must not turn the numbers around.
    Scales s = {.scales = {scale_->master().data<float>(), scale_->master().data<float>() + channels_}};
    for (float& scale : s.scales) scale = std::max(scale, std::numeric_limits<float>::min());
    return s;
  }
  if (!amax_history_.has_value()) return CurrentScales(x);
  const absl::Span<float> remembered = amax_history_->value.span<float>();
  AmaxHistory history(remembered.size());
  HALFTONE_CHECK(history.Restore(remembered).ok());
  const float before = history.Max();
  const float now = before == 0 || remember ? Amax(x) : 0;
  if (remember) {
    history.Add(now);
    std::copy(history.values().begin(), history.values().end(), remembered.begin());
  }
  return {.scales = {ScaleOf(before == 0 ? now : before, Largest(options_.format))}};
}

Tensor Quantizer::Round(const Tensor& x, const Scales& s, const std::optional<Codebook>& codebook,
                        const Rng& rng) const {
  Tensor y = Tensor::Empty(x.device(), DType::kF32, x.shape());
  const absl::Span<const float> from = x.span<float>();
  const absl::Span<float> to = y.span<float>();
  const RandomBits random = options_.rounding == Rounding::kStochastic
                                ? RandomBits(rng.Stream(HashStream(path())), 0)
                                : RandomBits();
  if (const auto* f = std::get_if<BlockFormat>(&options_.format)) {
    FakeQuantizeBlocks(*f, from, static_cast<size_t>(RowOf(x)),
                       {.rule = options_.block_rule, .rounding = options_.rounding}, to, random);
  } else if (const auto* f = std::get_if<IntegerFormat>(&options_.format)) {
    FakeQuantize(*f, from, s.scales, s.zero_points, options_.rounding, to, random);
  } else if (const auto* f = std::get_if<FloatFormat>(&options_.format)) {
    FakeQuantize(*f, from, s.scales, options_.rounding, to, random);
  } else {
    FakeQuantize(*codebook, from, s.scales, to);
  }
  if (observed_ != nullptr) observed_->Add(from, to);
  return y;
}

DeviceScales Quantizer::FindScales(const QuantizerKernels& kernels, const Tensor& x, bool remember) {
  DeviceScales s;
  if (IsBlocks(options_.format) || !has_scale()) return s;
  Device& device = x.device();
  s.scales = Tensor::Empty(device, DType::kF32, {channels_});
  const auto* integers = std::get_if<IntegerFormat>(&options_.format);
  const bool affine = integers != nullptr && integers->affine;
  if (scale_.has_value()) {
    kernels.learned_scales(scale_->master(), s.scales);
  } else if (amax_history_.has_value()) {
    kernels.delayed_scale(x, Largest(options_.format), remember, amax_history_->value, s.scales);
  } else if (RuleOf(options_.scale) != ScaleRule::kAmax) {
    const Scales found = CurrentScales(x.span<float>());
    s.scales = Tensor::From<float>(device, {channels_}, found.scales);
    if (affine) s.zero_points = Tensor::From<int32_t>(device, {channels_}, found.zero_points);
  } else if (affine) {
    s.zero_points = Tensor::Empty(device, DType::kI32, {channels_});
    kernels.affine_scales(*integers, x, s);
  } else {
    kernels.current_scales(x, Largest(options_.format), s.scales);
  }
  return s;
}

Tensor Quantizer::Search(const QuantizerKernels& kernels) const {
  if (!IsCodebook(options_.format)) return Tensor();
  const Tensor& values = codebook_.has_value() ? codebook_->master() : values_->value;
  Tensor search = Tensor::Empty(values.device(), DType::kF32, {2, values.elements()});
  kernels.make_search(values, search);
  return search;
}

Tensor Quantizer::Round(const QuantizerKernels& kernels, const Tensor& x, const DeviceScales& s,
                        const Tensor& search, const Rng& rng) const {
  Tensor y = Tensor::Empty(x.device(), DType::kF32, x.shape());
  std::optional<Rng> random;
  if (options_.rounding == Rounding::kStochastic) random = rng.Stream(HashStream(path()));
  if (const auto* f = std::get_if<BlockFormat>(&options_.format)) {
    kernels.round_blocks(*f, options_.block_rule, x, RowOf(x), random, y);
  } else if (const auto* f = std::get_if<IntegerFormat>(&options_.format)) {
    kernels.round_integers(*f, x, s, random, y);
  } else if (const auto* f = std::get_if<FloatFormat>(&options_.format)) {
    kernels.round_floats(*f, x, s, random, y);
  } else {
    kernels.round_to_values(search, x, s, y);
  }
  if (observed_ != nullptr) observed_->Add(x.span<float>(), std::as_const(y).span<float>());
  return y;
}

// Asked for where it is used alone: Graph::random.
Rng Quantizer::RngOf(const Graph& graph) const {
  return options_.rounding == Rounding::kStochastic ? graph.rng() : Rng(0);
}

absl::optional<ops::Float8> Quantizer::Float8Of(const DeviceScales& s) const {
  const auto* format = std::get_if<FloatFormat>(&options_.format);
  if (format == nullptr || !ops::IsFloat8(*format) || channels_ > 1) return absl::nullopt;
  return ops::Float8{*format, s.scales};
}

Tensor Quantizer::Quantize(const Tensor& tensor, const Graph& graph, absl::optional<ops::Float8>* float8) {
  if (!graph.quantize()) return tensor;
  const Tensor x = ops::Cast(tensor, DType::kF32);
  // The gradients of a first batch may have one sign by chance.
  if (!graph.replay()) Start(x, /*is_signed=*/true);
  const bool remember = graph.training() && !graph.replay();
  if (const auto* kernels = x.device().Kernels<QuantizerKernels>()) {
    const DeviceScales scales = FindScales(*kernels, x, remember);
    if (float8 != nullptr) *float8 = Float8Of(scales);
    return ops::Cast(Round(*kernels, x, scales, Search(*kernels), RngOf(graph)), tensor.dtype());
  }
  const Scales scales = FindScales(x.span<float>(), remember);
  return ops::Cast(Round(x, scales, Values(), RngOf(graph)), tensor.dtype());
}

Quantizer::Balance Quantizer::BalanceOf(const Tensor& x) const {
  const double steps = Steps(options_.format);
  if (outputs_ == 0) {
    // LSQ counts the features of one example.
    const int64_t features = x.elements() / std::max<int64_t>(1, x.shape()[0]);
    const double factor = LsqGradientFactor(static_cast<size_t>(std::max<int64_t>(1, features)), steps);
    return {factor, factor};
  }
  const auto* codebook = std::get_if<CodebookFormat>(&options_.format);
  return {.scale = LsqGradientFactor(static_cast<size_t>(x.elements() / channels_), steps),
          .values = codebook == nullptr ? 0 : codebook->size() / static_cast<double>(x.elements())};
}

std::vector<Variable> Quantizer::InputsFrom(const Variable& x) {
  std::vector<Variable> inputs = {x};
  if (scale_.has_value()) inputs.push_back(x.graph().Use(*scale_, DType::kF32));
  if (codebook_.has_value()) inputs.push_back(x.graph().Use(*codebook_, DType::kF32));
  return inputs;
}

Variable Quantizer::RoundOn(const QuantizerKernels& kernels, const Variable& x,
                            absl::optional<ops::Float8>* float8) {
  Graph& graph = x.graph();
  const DeviceScales scales = FindScales(kernels, x.value(), graph.training() && !graph.replay());
  if (float8 != nullptr) *float8 = Float8Of(scales);
  const Tensor search = Search(kernels);
  Tensor y = Round(kernels, x.value(), scales, search, RngOf(graph));
  if (IsBlocks(options_.format)) return RecordBlocks(graph, std::move(y), x);
  return graph.Record(
      "fake_quantize", std::move(y), InputsFrom(x),
      [&kernels, xt = x.value(), format = options_.format, scales, search, channels = channels_,
       balance = BalanceOf(x.value()), learns_scale = scale_.has_value(),
       learns_values = codebook_.has_value()](BackwardContext& c) {
        Device& device = xt.device();
        QuantizerGradients g = {.dx = Tensor::Empty(device, DType::kF32, xt.shape())};
        g.scale_factor = balance.scale;
        g.value_factor = balance.values;
        if (learns_scale) g.dscales = Tensor::Empty(device, DType::kF32, {channels});
        if (learns_values) g.dvalues = Tensor::Empty(device, DType::kF32, {search.shape()[1]});
        if (search.defined()) {
          kernels.value_gradients(search, xt, scales, c.dy(), g);
        } else if (const auto* f = std::get_if<IntegerFormat>(&format)) {
          kernels.integer_gradients(*f, xt, scales, c.dy(), g);
        } else {
          kernels.float_gradients(std::get<FloatFormat>(format), xt, scales, c.dy(), g);
        }
        c.Give(0, std::move(g.dx));
        if (learns_scale) c.Give(1, std::move(g.dscales));
        if (learns_values) c.Give(learns_scale ? 2 : 1, std::move(g.dvalues));
      });
}

Variable Quantizer::operator()(const Variable& x, absl::optional<ops::Float8>* float8) {
  const ModuleScope scope(x.graph(), path());
  return RoundAs(x, float8);
}

Variable Quantizer::RoundAs(const Variable& input, absl::optional<ops::Float8>* float8) {
  Graph& graph = input.graph();
  if (!graph.quantize()) return input;
  const Variable x = graph.Cast(input, DType::kF32);
  if (!graph.replay()) Start(x.value(), /*is_signed=*/false);
  if (const auto* kernels = x.value().device().Kernels<QuantizerKernels>())
    return RoundOn(*kernels, x, float8);
  const absl::Span<const float> values = x.value().span<float>();
  Scales scales = FindScales(values, graph.training() && !graph.replay());
  std::optional<Codebook> codebook = Values();
  Tensor y = Round(x.value(), scales, codebook, RngOf(graph));
  if (IsBlocks(options_.format)) return RecordBlocks(graph, std::move(y), x);
  return graph.Record(
      "fake_quantize", std::move(y), InputsFrom(x),
      [xt = x.value(), format = options_.format, scales = std::move(scales), codebook = std::move(codebook),
       balance = BalanceOf(x.value()), learns_scale = scale_.has_value(),
       learns_values = codebook_.has_value()](BackwardContext& c) {
        const absl::Span<const float> x = xt.span<float>(), dy = c.dy().span<float>();
        Tensor dx = Tensor::Empty(xt.device(), DType::kF32, xt.shape());
        std::vector<double> dscales(learns_scale ? scales.scales.size() : 0);
        std::vector<double> dvalues(learns_values ? static_cast<size_t>(codebook->size()) : 0);
        if (codebook.has_value()) {
          FakeQuantizeBackward(*codebook, x, scales.scales, dy, dx.span<float>(), absl::MakeSpan(dvalues),
                               absl::MakeSpan(dscales));
        } else if (const auto* f = std::get_if<IntegerFormat>(&format)) {
          FakeQuantizeBackward(*f, x, scales.scales, scales.zero_points, dy, dx.span<float>(),
                               absl::MakeSpan(dscales));
        } else {
          FakeQuantizeBackward(std::get<FloatFormat>(format), x, scales.scales, dy, dx.span<float>(),
                               absl::MakeSpan(dscales));
        }
        c.Give(0, std::move(dx));
        if (learns_scale) c.Give(1, FromDoubles(xt.device(), dscales, balance.scale));
        if (!learns_values) return;
        // In the unit of the numbers, which the scales take the values from.
        double unit = 0;
        for (const float s : scales.scales) unit += static_cast<double>(s) * s;
        unit /= static_cast<double>(scales.scales.size());
        c.Give(learns_scale ? 2 : 1, FromDoubles(xt.device(), dvalues, balance.values / unit));
      });
}

absl::Status CheckQuantizers(Module& root) {
  class Checker : public Visitor {
   public:
    absl::Status status;

   private:
    void OnModule(const std::string&, Module& module) override {
      const auto* quantizer = dynamic_cast<const Quantizer*>(&module);
      if (quantizer != nullptr) status.Update(quantizer->CheckState());
    }
  };
  Checker checker;
  root.Visit(checker);
  return checker.status;
}

bool BelongsToQuantizer(absl::string_view path) { return absl::StrContains(path, "_quantizer."); }

void LayerQuantizers::Visit(Visitor& v) {
  v("input_quantizer", input);
  v("weight_quantizer", weight);
  v("gradient_quantizer", gradient);
}

}  // namespace halftone::nn
