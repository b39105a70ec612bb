#include "quant/quantization_error.h"

#include <cmath>
#include <limits>
#include <vector>

#include "base/parallel.h"
#include "gtest/gtest.h"
#include "testing/variations.h"

namespace halftone {
namespace {

TEST(QuantizationErrorTest, CountsAndSums) {
  const float inf = std::numeric_limits<float>::infinity();
  const std::vector<float> x = {0, 1, -0.25f, 3, inf, NAN, 100};
  const std::vector<float> y = {0, 1, 0, 4, inf, NAN, inf};
  QuantizationError e;
  e.Add(x, y);
  EXPECT_EQ(e.elements, 4);
  EXPECT_EQ(e.nonzero, 3);
  EXPECT_EQ(e.underflows, 1);
  EXPECT_EQ(e.underflow_share(), 1.0 / 3);
  EXPECT_EQ(e.squares, 1 + 0.0625 + 9);
  EXPECT_EQ(e.squared_errors, 0.0625 + 1);
  EXPECT_DOUBLE_EQ(e.sqnr_db(), 10 * std::log10(10.0625 / 1.0625));
}

TEST(QuantizationErrorTest, NothingAndNoError) {
  QuantizationError e;
  EXPECT_EQ(e.underflow_share(), 0);
  EXPECT_EQ(e.sqnr_db(), std::numeric_limits<double>::infinity());
  e.Add({}, {});
  EXPECT_EQ(e.elements, 0);
}

TEST(QuantizationErrorTest, ThreadsAndPiecesMakeNoDifference) {
  std::vector<float> x(100000), y(100000);
  for (size_t i = 0; i < x.size(); ++i) {
    x[i] = std::sin(static_cast<float>(i));
    y[i] = std::round(4 * x[i]) / 4;
  }
  QuantizationError first;
  first.Add(x, y);
  EXPECT_NEAR(first.sqnr_db(), 10 * std::log10(0.5 / (0.0625 / 12)), 1);
  ForEachThreadCount([&](int) {
    QuantizationError e;
    e.Add(x, y);
    EXPECT_EQ(e.squares, first.squares);
    EXPECT_EQ(e.squared_errors, first.squared_errors);
    EXPECT_EQ(e.underflows, first.underflows);
  });
}

}  // namespace
}  // namespace halftone
