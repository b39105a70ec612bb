// A quantiser on a device has the bits of one on the CPU: in every format, with every source of scales.
#include <cfloat>
#include <cmath>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "nn/quantizer.h"
#include "quant/quant_format.h"
#include "testing/device.h"
#include "testing/tensors.h"

namespace halftone::nn {
namespace {

struct Root : Module {
  Root(const QuantizerOptions& options, int64_t outputs) : quantizer(options, outputs) {}
  Variable Forward(const Variable& x) override { return quantizer(x); }
  void Visit(Visitor& v) override { v("q", quantizer); }
  Quantizer quantizer;
};

// Numbers of all magnitudes, with some that are none.
Tensor Numbers(Device& device, const Shape& shape, uint64_t seed, bool with_extremes) {
  Tensor x = RandomTensor(device, DType::kF32, shape, seed);
  float* const v = x.data<float>();
  for (int64_t i = 0; i < x.elements(); i += 3) v[i] *= std::ldexp(1.0f, static_cast<int>(i % 23) - 16);
  for (int64_t i = 1; i < x.elements(); i += 11) v[i] = i % 2 == 0 ? 0.0f : -0.0f;
  if (!with_extremes) return x;
  const float extremes[] = {HUGE_VALF, -HUGE_VALF, NAN, FLT_MAX, -FLT_MAX, 0x1p-149f, -0x1p-130f, FLT_MIN};
  int64_t at = 2;
  for (const float e : extremes) {
    v[at % x.elements()] = e;
    at += 41;
  }
  return x;
}

// What three steps on a device give: outputs, the inputs' gradients, then those of what is learned, and what
// is remembered.
std::vector<Tensor> Run(Device& device, const QuantizerOptions& options, int64_t outputs, const Shape& shape,
                        bool with_extremes) {
  Root root(options, outputs);
  Initialize(root, device, Rng(1));
  std::vector<Tensor> results;
  for (uint64_t step = 0; step < 3; ++step) {
    Graph graph({.device = &device, .rng = Rng(1).AtStep(step), .training = true});
    const Variable x =
        graph.Input(Numbers(device, shape, step, with_extremes && step > 0), /*requires_grad=*/true);
    const Variable y = root(x);
    graph.Backward(
        graph.Record("weighted_sum", Tensor::Zeros(device, DType::kF32, {}), {y},
                     [w = Numbers(device, shape, 100 + step, false)](BackwardContext& c) { c.Give(0, w); }));
    results.push_back(y.value());
    results.push_back(graph.Gradient(x));
    results.push_back(root.quantizer.Quantize(Numbers(device, shape, 50 + step, false), graph));
    for (Parameter* p : Parameters(root)) {
      results.push_back(p->gradient());
      p->ClearGradient();
    }
  }
  ForEachBuffer(root, [&](const std::string&, Buffer& b) { results.push_back(b.value); });
  return results;
}

void ExpectSameAsOnTheCpu(const QuantizerOptions& options, int64_t outputs, const Shape& shape,
                          bool with_extremes) {
  SCOPED_TRACE(absl::StrCat(NameOf(options.format), ", scale ", static_cast<int>(options.scale),
                            ", rounding ", static_cast<int>(options.rounding), ", per channel ",
                            options.per_channel, ", outputs ", outputs, ", block rule ",
                            static_cast<int>(options.block_rule)));
  Device cpu(nullptr);
  const std::vector<Tensor> expected = Run(cpu, options, outputs, shape, with_extremes);
  const std::vector<Tensor> actual = Run(TestDevice(), options, outputs, shape, with_extremes);
  ASSERT_EQ(actual.size(), expected.size());
  for (size_t i = 0; i < actual.size(); ++i) EXPECT_TRUE(SameBits(actual[i], expected[i])) << "tensor " << i;
}

class QuantizerDeviceTest : public testing::TestWithParam<QuantFormat> {};

TEST_P(QuantizerDeviceTest, SameBitsFromEverySourceOfScales) {
  const bool is_codebook = std::holds_alternative<CodebookFormat>(GetParam());
  const bool is_blocks = std::holds_alternative<BlockFormat>(GetParam());
  for (const ScaleSource source : {ScaleSource::kNone, ScaleSource::kCurrent, ScaleSource::kDelayed,
                                   ScaleSource::kPercentile, ScaleSource::kMse, ScaleSource::kLearned}) {
    if (source == ScaleSource::kNone && !is_codebook) continue;
    if (source == ScaleSource::kMse && is_codebook) continue;
    if (source != ScaleSource::kCurrent && is_blocks) continue;
    for (const int64_t outputs : {0, 3}) {
      QuantizerOptions options = {.format = GetParam(), .scale = source, .history = 2, .percentile = 90};
      options.per_channel = outputs > 0 && source != ScaleSource::kDelayed && source != ScaleSource::kNone;
      ExpectSameAsOnTheCpu(options, outputs, {3, 5, 67}, /*with_extremes=*/false);
      if (!is_codebook) ExpectSameAsOnTheCpu(options, outputs, {3, 5, 67}, /*with_extremes=*/true);
    }
  }
}

TEST_P(QuantizerDeviceTest, SameBitsRoundedAtRandom) {
  if (std::holds_alternative<CodebookFormat>(GetParam())) return;
  for (const bool with_extremes : {false, true}) {
    ExpectSameAsOnTheCpu({.format = GetParam(), .rounding = Rounding::kStochastic}, 0, {7, 96},
                         with_extremes);
  }
}

TEST_P(QuantizerDeviceTest, SameBitsOfSumsOverSeveralPieces) {
  if (std::holds_alternative<BlockFormat>(GetParam())) return;
  ExpectSameAsOnTheCpu({.format = GetParam(), .scale = ScaleSource::kLearned, .per_channel = true}, 7,
                       {7, 4101},
                       /*with_extremes=*/false);
}

INSTANTIATE_TEST_SUITE_P(All, QuantizerDeviceTest, testing::ValuesIn(QuantFormats()), [](const auto& info) {
  const absl::string_view name = NameOf(info.param);
  return std::string(name.data(), name.size());
});

TEST(QuantizerDeviceTest, SameBitsOfSumsOverSeveralPartsOfARow) {
  for (const char* name : {"fp3", "fp6"}) {
    ExpectSameAsOnTheCpu({.format = FindQuantFormat(name).value(), .scale = ScaleSource::kLearned}, 0,
                         {2, 50021},
                         /*with_extremes=*/false);
  }
}

TEST(QuantizerDeviceTest, SameBitsByEveryRuleOfBlockScales) {
  for (const char* name : {"mxfp8", "mxfp4", "mxint8"}) {
    for (const BlockScaleRule rule :
         {BlockScaleRule::kFloor, BlockScaleRule::kCeil, BlockScaleRule::kEven, BlockScaleRule::kRceil}) {
      ExpectSameAsOnTheCpu({.format = FindQuantFormat(name).value(), .block_rule = rule}, 0, {5, 64},
                           /*with_extremes=*/true);
    }
  }
}

TEST(QuantizerDeviceTest, ASetOfValuesThatIsNotLearnedStopsGradientsOutside) {
  const QuantizerOptions options = {.format = FindQuantFormat("fp4").value(), .learned = false};
  ExpectSameAsOnTheCpu(options, 0, {3, 333}, /*with_extremes=*/false);
}

}  // namespace
}  // namespace halftone::nn
