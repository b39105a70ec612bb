#include "quant/allocate.h"

#include <cmath>
#include <limits>

#include "base/philox.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace halftone {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

using Layers = std::vector<std::vector<FormatChoice>>;

double Cost(const Layers& layers, const std::vector<size_t>& chosen) {
  double cost = 0;
  for (size_t l = 0; l < layers.size(); ++l) cost += layers[l][chosen[l]].cost;
  return cost;
}

double Bytes(const Layers& layers, const std::vector<size_t>& chosen) {
  double bytes = 0;
  for (size_t l = 0; l < layers.size(); ++l) bytes += layers[l][chosen[l]].bytes;
  return bytes;
}

// The least cost of all allocations that fit.
double BestCost(const Layers& layers, double budget, size_t from = 0) {
  if (from == layers.size()) return 0;
  double best = std::numeric_limits<double>::infinity();
  for (const FormatChoice& c : layers[from]) {
    if (c.bytes <= budget) best = std::min(best, c.cost + BestCost(layers, budget - c.bytes, from + 1));
  }
  return best;
}

TEST(AllocateTest, GivesBytesToWhomTheyServeMost) {
  const Layers layers = {{{0, 8}, {1, 4}, {5, 2}}, {{0, 80}, {0.1, 40}, {9, 20}}};
  EXPECT_THAT(AllocateFormats(layers, 1000).value(), ElementsAre(0, 0));
  EXPECT_THAT(AllocateFormats(layers, 22).value(), ElementsAre(2, 2));
  EXPECT_THAT(AllocateFormats(layers, 44).value(), ElementsAre(1, 1));
  EXPECT_THAT(AllocateFormats(layers, 28).value(), ElementsAre(0, 2));
}

TEST(AllocateTest, AFormatThatIsWorseAndLargerIsNeverTaken) {
  // As sensitivities measured on few images are: not even monotonous.
  const Layers layers = {{{0.5, 4}, {-0.1, 2}, {0.2, 1}}};
  EXPECT_THAT(AllocateFormats(layers, 4).value(), ElementsAre(1));
  EXPECT_THAT(AllocateFormats(layers, 1).value(), ElementsAre(2));
}

TEST(AllocateTest, IsCloseToTheBestAllocation) {
  const Rng rng(5);
  uint64_t n = 0;
  for (int round = 0; round < 200; ++round) {
    Layers layers(5);
    double largest = 0, smallest = 0, step = 0;
    for (auto& choices : layers) {
      const double weights = 1 + 9 * rng.Uniform(n++);
      const double sensitivity = rng.Uniform(n++);
      for (const int bits : {2, 3, 4, 8}) {
        choices.push_back({sensitivity * std::exp2(-2.0 * bits) * (0.5 + rng.Uniform(n++)), weights * bits});
      }
      largest += choices.back().bytes;
      smallest += choices.front().bytes;
      step = std::max(step, choices.front().cost);
    }
    const double budget = smallest + (largest - smallest) * rng.Uniform(n++);
    const std::vector<size_t> chosen = AllocateFormats(layers, budget).value();
    EXPECT_LE(Bytes(layers, chosen), budget);
    // What the last step that does not fit may cost.
    EXPECT_LE(Cost(layers, chosen), BestCost(layers, budget) + step);
  }
}

TEST(AllocateTest, Refuses) {
  EXPECT_THAT(AllocateFormats(Layers{{{0, 8}, {1, 4}}, {{0, 6}}}, 9).status().message(),
              HasSubstr("a budget of 9 bytes is too small: the smallest formats take 10"));
  EXPECT_THAT(AllocateFormats(Layers{{}}, 9).status().message(), HasSubstr("no format"));
  EXPECT_THAT(AllocateFormats(Layers{{{NAN, 1}}}, 9).status().message(), HasSubstr("finite"));
  EXPECT_FALSE(AllocateFormats(Layers{{{0, 1}}}, NAN).ok());
}

}  // namespace
}  // namespace halftone
