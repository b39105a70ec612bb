#include "scaler/weight_manager.h"

#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>
#include <string>
#include <type_traits>
#include <vector>

#include "absl/types/span.h"
#include "base/parallel.h"
#include "base/philox.h"
#include "fp16/format.h"
#include "gtest/gtest.h"

namespace halftone {
namespace {

const std::vector<size_t> kSizes = {1, 0, 5, 4096, 4099, 20001};

template <typename T>
uint16_t Code(T x) {
  return std::bit_cast<uint16_t>(x);
}

std::vector<std::vector<float>> RandomWeights() {
  std::vector<std::vector<float>> weights;
  for (const size_t n : kSizes) {
    const Rng rng = Rng(9).Stream(static_cast<uint32_t>(weights.size()));
    weights.emplace_back(n);
    for (size_t j = 0; j < n; ++j) weights.back()[j] = rng.Normal(j);
  }
  return weights;
}

std::vector<absl::Span<const float>> Views(const std::vector<std::vector<float>>& arrays) {
  return {arrays.begin(), arrays.end()};
}

// The change of element j of tensor i in a step: one in 1000 of the weight and less.
float Change(uint64_t step, size_t i, size_t j) {
  return 1e-3f * std::sin(static_cast<float>(step + 7 * i + 3 * j));
}

template <typename T>
class WeightManagerTest : public testing::Test {
 protected:
  static constexpr FloatFormat kFormat = std::is_same_v<T, half> ? kFloat16 : kBfloat16;

  // What the working copies must be, slowly.
  static uint16_t Rounded(float x, const WeightManagerOptions& o, uint64_t step, size_t i, size_t j) {
    const uint32_t bits = Rng(o.seed).AtStep(step).Stream(static_cast<uint32_t>(i)).Bits(j);
    const Rounding rounding = o.stochastic ? Rounding::kStochastic : Rounding::kNearestEven;
    return static_cast<uint16_t>(Encode(kFormat, x, rounding, Overflow::kInfinity, bits));
  }

  static void Step(WeightManager<T>& weights, uint64_t step) {
    weights.StartStep(step);
    weights.Update([&](size_t i, size_t begin, absl::Span<float> w) {
      for (size_t j = 0; j < w.size(); ++j) w[j] += Change(step, i, begin + j);
    });
  }

  static std::vector<uint16_t> AllCodes(WeightManager<T>& weights) {
    std::vector<uint16_t> codes;
    for (size_t i = 0; i < weights.tensors(); ++i) {
      for (const T x : weights.Working(i)) codes.push_back(Code(x));
    }
    return codes;
  }
};

using Types = testing::Types<half, bfloat16>;
TYPED_TEST_SUITE(WeightManagerTest, Types);

const WeightManagerOptions kAllOptions[] = {
    {.masters = true, .stochastic = false},
    {.masters = true, .stochastic = true, .seed = 5},
    {.masters = false, .stochastic = false},
    {.masters = false, .stochastic = true, .seed = 5},
};

TYPED_TEST(WeightManagerTest, UpdatesAreTheTwinsForAnyNumberOfThreads) {
  for (const WeightManagerOptions& options : kAllOptions) {
    SCOPED_TRACE(testing::Message() << "masters " << options.masters << ", stochastic "
                                    << options.stochastic);
    for (const int threads : {1, 2, 3}) {
      SetNumThreads(threads);
      std::vector<std::vector<float>> twin = RandomWeights();
      WeightManager<TypeParam> weights(options, Views(twin));
      for (uint64_t step = 0; step < 4; ++step) {
        if (step > 0) this->Step(weights, step);
        for (size_t i = 0; i < twin.size(); ++i) {
          const auto working = weights.Working(i);
          ASSERT_EQ(working.size(), twin[i].size());
          for (size_t j = 0; j < twin[i].size(); ++j) {
            if (step > 0) twin[i][j] += Change(step, i, j);
            const uint16_t code = this->Rounded(twin[i][j], options, step, i, j);
            ASSERT_EQ(Code(working[j]), code) << "step " << step << ", " << i << ", " << j;
            if (options.masters) {
              ASSERT_EQ(weights.Master(i)[j], twin[i][j]);
            } else {
              twin[i][j] = static_cast<float>(std::bit_cast<TypeParam>(code));
            }
          }
        }
      }
    }
    SetNumThreads(0);
  }
}

TYPED_TEST(WeightManagerTest, WritingToTheMastersIsTheSameAsUpdate) {
  for (const bool stochastic : {false, true}) {
    const WeightManagerOptions options = {.stochastic = stochastic};
    const auto initial = RandomWeights();
    WeightManager<TypeParam> fused(options, Views(initial)), one_by_one(options, Views(initial)),
        at_once(options, Views(initial));
    for (uint64_t step = 1; step < 4; ++step) {
      this->Step(fused, step);
      for (auto* weights : {&one_by_one, &at_once}) {
        weights->StartStep(step);
        for (size_t i = 0; i < kSizes.size(); ++i) {
          const absl::Span<float> master = weights->MutableMaster(i);
          for (size_t j = 0; j < master.size(); ++j) master[j] += Change(step, i, j);
        }
      }
      at_once.Sync();
      EXPECT_EQ(this->AllCodes(one_by_one), this->AllCodes(fused));
      EXPECT_EQ(this->AllCodes(at_once), this->AllCodes(fused));
    }
  }
}

TYPED_TEST(WeightManagerTest, RoundsOnceForEachUpdate) {
  const std::vector<std::vector<float>> initial = {{1}, {1}};
  WeightManager<TypeParam> weights({}, Views(initial));
  const absl::Span<float> master = weights.MutableMaster(1);
  master[0] = 2;
  EXPECT_EQ(static_cast<float>(weights.Working(1)[0]), 2);
  EXPECT_EQ(static_cast<float>(weights.Working(0)[0]), 1);
  // Not what the span is for any more, but it shows that nothing is rounded again.
  master[0] = 3;
  EXPECT_EQ(static_cast<float>(weights.Working(1)[0]), 2);
  weights.Sync();
  EXPECT_EQ(static_cast<float>(weights.Working(1)[0]), 2);
  weights.MutableMaster(1)[0] = 4;
  EXPECT_EQ(static_cast<float>(weights.Working(1)[0]), 4);
}

// What changed before StartStep is rounded with the random numbers of its own step.
TYPED_TEST(WeightManagerTest, AnUpdateBelongsToTheStepItWasMadeIn) {
  const WeightManagerOptions options = {.stochastic = true};
  const std::vector<std::vector<float>> initial = {std::vector<float>(1000, 1)};
  WeightManager<TypeParam> read_at_once(options, Views(initial)), read_later(options, Views(initial));
  for (auto* weights : {&read_at_once, &read_later}) {
    weights->StartStep(1);
    for (float& w : weights->MutableMaster(0)) w = 1.0003f;
    if (weights == &read_at_once) weights->Working(0);
    weights->StartStep(2);
  }
  EXPECT_EQ(this->AllCodes(read_later), this->AllCodes(read_at_once));
}

// 1000 steps of an ulp / 2000 each.
TYPED_TEST(WeightManagerTest, SmallUpdatesCountWithMastersOrStochasticRounding) {
  const float epsilon = static_cast<float>(std::numeric_limits<TypeParam>::epsilon());
  const std::vector<std::vector<float>> initial = {std::vector<float>(1000, 1)};
  const auto mean_after = [&](const WeightManagerOptions& options) {
    WeightManager<TypeParam> weights(options, Views(initial));
    for (uint64_t step = 1; step <= 1000; ++step) {
      weights.StartStep(step);
      weights.Update([&](size_t, size_t, absl::Span<float> w) {
        for (float& x : w) x += epsilon / 2000;
      });
    }
    double sum = 0;
    for (const TypeParam x : weights.Working(0)) sum += static_cast<float>(x);
    return (sum / 1000 - 1) / epsilon;
  };
  EXPECT_EQ(mean_after({.masters = false}), 0);
  EXPECT_NEAR(mean_after({.masters = false, .stochastic = true}), 0.5, 0.1);  // 4 standard deviations
  EXPECT_NEAR(mean_after({.masters = true, .stochastic = true}), 0.5, 0.08);
}

TYPED_TEST(WeightManagerTest, RestoredAtAnyStepItGoesOnTheSame) {
  for (const WeightManagerOptions& options : kAllOptions) {
    const auto initial = RandomWeights();
    const std::vector<std::vector<float>> zeros = {{0},
                                                   {},
                                                   std::vector<float>(5),
                                                   std::vector<float>(4096),
                                                   std::vector<float>(4099),
                                                   std::vector<float>(20001)};
    WeightManager<TypeParam> weights(options, Views(initial));
    for (uint64_t step = 1; step < 4; ++step) {
      WeightManager<TypeParam> restored(options, Views(zeros));
      const absl::Status status = restored.Restore(weights.State());
      ASSERT_TRUE(status.ok()) << status;
      EXPECT_EQ(restored.step(), step - 1);
      EXPECT_EQ(this->AllCodes(restored), this->AllCodes(weights));
      this->Step(restored, step);
      this->Step(weights, step);
      EXPECT_EQ(this->AllCodes(restored), this->AllCodes(weights));
      if (options.masters) {
        EXPECT_EQ(restored.Master(5), weights.Master(5));
      }
    }
    ASSERT_TRUE(weights.Restore(weights.State()).ok());  // from views into itself
    EXPECT_EQ(weights.step(), 3);
  }
}

TYPED_TEST(WeightManagerTest, RefusesAStateOfOtherWeights) {
  const auto initial = RandomWeights();
  WeightManager<TypeParam> weights({}, Views(initial)), bare({.masters = false}, Views(initial));
  const auto codes = this->AllCodes(weights);
  const auto refused = [&](const WeightManagerState<TypeParam>& state) {
    const absl::Status status = weights.Restore(state);
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    EXPECT_EQ(this->AllCodes(weights), codes);
    EXPECT_EQ(weights.step(), 0);
    return std::string(status.message());
  };
  EXPECT_EQ(refused(bare.State()), "weights: the saved state has master weights of 0 tensors, expected 6");
  EXPECT_FALSE(bare.Restore(weights.State()).ok());
  WeightManagerState<TypeParam> state = weights.State();
  state.working.pop_back();
  EXPECT_EQ(refused(state), "weights: the saved state has working copies of 5 tensors, expected 6");
  state = weights.State();
  state.working[2].remove_suffix(1);
  EXPECT_EQ(refused(state), "weights: the saved working copy of tensor 2 has 4 elements, expected 5");
  state = weights.State();
  state.masters[3] = state.masters[4];
  EXPECT_EQ(refused(state), "weights: the saved master of tensor 3 has 4099 elements, expected 4096");
  state = weights.State();
  state.step = uint64_t{1} << 32;
  EXPECT_EQ(refused(state), "weights: the saved step is 4294967296, expected at most 2^32 - 1");
}

}  // namespace
}  // namespace halftone
