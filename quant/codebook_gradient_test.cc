// The gradients against finite differences and closed forms; docs/design/0005-learned-codebooks.md derives
// what is checked here.
#include <cmath>
#include <cstddef>
#include <vector>

#include "absl/types/span.h"
#include "base/philox.h"
#include "gtest/gtest.h"
#include "quant/codebook.h"
#include "quant/codebook_init.h"

namespace halftone {
namespace {

constexpr float kOne = 1;
constexpr absl::Span<const float> kOneScale(&kOne, 1);

std::vector<float> Forward(const std::vector<float>& values, absl::Span<const float> x, float scale) {
  std::vector<float> y(x.size());
  FakeQuantize(Codebook::Create(values).value(), x, {&scale, 1}, absl::MakeSpan(y));
  return y;
}

struct Gradients {
  std::vector<float> dx;
  std::vector<double> dvalues;
  double dscale;
};

Gradients Backward(const std::vector<float>& values, absl::Span<const float> x, float scale,
                   absl::Span<const float> dy) {
  Gradients g = {std::vector<float>(x.size()), std::vector<double>(values.size()), 0};
  FakeQuantizeBackward(Codebook::Create(values).value(), x, {&scale, 1}, dy, absl::MakeSpan(g.dx),
                       absl::MakeSpan(g.dvalues), {&g.dscale, 1});
  return g;
}

// The gradient of the mean of (y - x)^2.
Gradients MeanSquareGradients(const std::vector<float>& values, absl::Span<const float> x) {
  std::vector<float> dy = Forward(values, x, 1);
  for (size_t i = 0; i < x.size(); ++i) dy[i] = 2 * (dy[i] - x[i]) / static_cast<float>(x.size());
  return Backward(values, x, 1, dy);
}

// n points between -1 and 1 that stand for the uniform density 1/2.
std::vector<float> UniformPoints(size_t n) {
  std::vector<float> x;
  for (size_t i = 0; i < n; ++i) {
    x.push_back(static_cast<float>((2 * static_cast<double>(i) + 1) / static_cast<double>(n) - 1));
  }
  return x;
}

// The middles between values, from `lowest` to `highest`, the ends of what x can be.
std::vector<double> Bounds(const std::vector<double>& values, double lowest, double highest) {
  std::vector<double> bounds = {lowest};
  for (size_t j = 1; j < values.size(); ++j) bounds.push_back((values[j - 1] + values[j]) / 2);
  bounds.push_back(highest);
  return bounds;
}

std::vector<double> ToDoubles(const std::vector<float>& values) { return {values.begin(), values.end()}; }

template <class F>
double CentralDifference(std::vector<double> values, size_t j, double step, const F& f) {
  const double value = values[j];
  values[j] = value + step;
  const double above = f(values);
  values[j] = value - step;
  return (above - f(values)) / (2 * step);
}

// Almost everywhere: where no x is within reach of a threshold the loss is smooth in the values. All numbers
// are multiples of powers of two, so that nothing is rounded.
TEST(CodebookGradientTest, OfValuesIsThatOfFiniteDifferences) {
  const std::vector<float> values = {-1, -0.75f, -0.125f, 0, 0.25f, 0.5f, 1};
  const float scale = 0.5f;
  std::vector<float> x;
  for (int i = -80; i <= 80; ++i) x.push_back(static_cast<float>(i) / 128 + 1.0f / 512);
  const auto loss = [&](const std::vector<double>& v) {
    const std::vector<float> y = Forward({v.begin(), v.end()}, x, scale);
    double sum = 0;
    for (size_t i = 0; i < y.size(); ++i) sum += (static_cast<int>(i % 7) - 3) * y[i] + 0.5 * y[i] * y[i];
    return sum;
  };
  std::vector<float> dy = Forward(values, x, scale);
  for (size_t i = 0; i < dy.size(); ++i) dy[i] += static_cast<float>(static_cast<int>(i % 7) - 3);
  const Gradients g = Backward(values, x, scale, dy);
  for (size_t j = 0; j < values.size(); ++j) {
    EXPECT_NE(g.dvalues[j], 0);
    EXPECT_NEAR(g.dvalues[j], CentralDifference(ToDoubles(values), j, 0x1p-10, loss), 1e-9) << j;
  }
}

// Squared error of uniform data: over a cell from l to r it is ((r - c)^3 + (c - l)^3) / 6, its derivative
// for c, bounds held fixed, ((c - l)^2 - (r - c)^2) / 2; and that the bounds move changes nothing.
TEST(CodebookGradientTest, OfSquaredErrorIsThatOfTheSmoothProblem) {
  const size_t n = 1 << 16;
  const std::vector<float> x = UniformPoints(n);
  const auto error = [](const std::vector<double>& v) {
    const std::vector<double> bounds = Bounds(v, -1, 1);
    double sum = 0;
    for (size_t j = 0; j < v.size(); ++j) {
      sum += (std::pow(bounds[j + 1] - v[j], 3) + std::pow(v[j] - bounds[j], 3)) / 6;
    }
    return sum;
  };
  for (const std::vector<float>& values :
       {std::vector<float>{-0.75f, -0.25f, 0.25f, 0.75f}, std::vector<float>{-0.75f, -0.25f, 0.375f, 0.75f},
        std::vector<float>{-0.9f, -0.1f, 0.3f, 0.35f, 0.8f}}) {
    const std::vector<double> v = ToDoubles(values), bounds = Bounds(v, -1, 1);
    const Gradients g = MeanSquareGradients(values, x);
    for (size_t j = 0; j < v.size(); ++j) {
      const double left = v[j] - bounds[j], right = bounds[j + 1] - v[j];
      EXPECT_NEAR(g.dvalues[j], (left * left - right * right) / 2, 2.0 / n) << j;
      EXPECT_NEAR(g.dvalues[j], CentralDifference(v, j, 1e-4, error), 2.0 / n) << j;
    }
  }
}

// The best quantiser of uniform data has cells of equal width (Lloyd and Max): no gradient there, and one
// that pulls a value back from wherever it is.
TEST(CodebookGradientTest, VanishesAtTheOptimumAndPointsBackToIt) {
  const std::vector<float> x = UniformPoints(1 << 16);
  std::vector<float> best;
  for (int j = 0; j < 8; ++j) best.push_back((static_cast<float>(j) + 0.5f) / 4 - 1);
  for (const double d : MeanSquareGradients(best, x).dvalues) EXPECT_NEAR(d, 0, 1e-6);
  for (size_t j = 0; j < best.size(); ++j) {
    for (const float distance : {-0.0625f, 0.0625f}) {
      std::vector<float> moved = best;
      moved[j] += distance;
      // With w = 1/8, half a cell: ((w + d/2)^2 - (w - d/2)^2) / 2 = w d. The outer bounds of the cells at
      // the ends do not follow: ((w + d)^2 - (w - d/2)^2) / 2 = 3/2 w d + 3/8 d^2 at the lower end, - at the
      // upper.
      const double w = 0.125, d = distance;
      const double expected = j == 0                ? 1.5 * w * d + 0.375 * d * d
                              : j + 1 < best.size() ? w * d
                                                    : 1.5 * w * d - 0.375 * d * d;
      EXPECT_NEAR(MeanSquareGradients(moved, x).dvalues[j], expected, 1e-4) << j << " " << distance;
    }
  }
}

// Of any other loss of y the expectation is smooth too, but there the moving bounds do count, by
// p(m_j) (L(c_j) - L(c_j+1)) / 2 for each bound: the gradient is that with elements held in their cells. Data
// of the logistic distribution, whose P and p are simple.
TEST(CodebookGradientTest, LeavesOutExactlyTheMovingBounds) {
  const auto P = [](double x) { return 1 / (1 + std::exp(-x)); };
  const auto p = [&](double x) { return P(x) * P(-x); };
  const auto loss = [](double y) { return std::sin(2 * y) + y * y / 3; };
  const auto slope = [](double y) { return 2 * std::cos(2 * y) + 2 * y / 3; };
  const size_t n = 1 << 18;
  std::vector<float> x;
  for (size_t i = 0; i < n; ++i) {
    const double u = (static_cast<double>(i) + 0.5) / static_cast<double>(n);
    x.push_back(static_cast<float>(std::log(u / (1 - u))));
  }
  const std::vector<float> values = {-3, -1.25f, -0.5f, 0.25f, 1, 2.5f};
  const std::vector<double> v = ToDoubles(values);
  std::vector<float> dy = Forward(values, x, 1);
  for (float& d : dy) d = static_cast<float>(slope(d) / static_cast<double>(n));
  const Gradients g = Backward(values, x, 1, dy);
  const auto expected_loss = [&](const std::vector<double>& c) {
    const std::vector<double> bounds = Bounds(c, -INFINITY, INFINITY);
    double sum = 0;
    for (size_t j = 0; j < c.size(); ++j) sum += loss(c[j]) * (P(bounds[j + 1]) - P(bounds[j]));
    return sum;
  };
  const std::vector<double> bounds = Bounds(v, -INFINITY, INFINITY);
  for (size_t j = 0; j < v.size(); ++j) {
    double moving = 0;
    if (j > 0) moving += p(bounds[j]) * (loss(v[j - 1]) - loss(v[j])) / 2;
    if (j + 1 < v.size()) moving += p(bounds[j + 1]) * (loss(v[j]) - loss(v[j + 1])) / 2;
    EXPECT_GT(std::abs(moving), 1e-3);
    EXPECT_NEAR(g.dvalues[j] + moving, CentralDifference(v, j, 1e-4, expected_loss), 2e-5) << j;
  }
}

// The straight-through estimator takes scale * (clamp(x / scale) + r), r = Q - clamp(x / scale) held fixed,
// for y.
TEST(CodebookGradientTest, OfElementsAndScaleIsThatOfTheStraightThroughFunction) {
  const std::vector<float> values = {-1, -0.25f, 0, 0.5f, 0.75f};
  const double scale = 0.5, step = 1e-6;
  const std::vector<float> x = {-3, -0.45f, -0.2f, 0.03f, 0.11f, 0.3f, 0.37f, 0.4f, 2};
  const auto clamped = [](double q) { return std::fmin(std::fmax(q, -1), 0.75); };
  double dscale = 0;
  std::vector<float> dy;
  for (size_t i = 0; i < x.size(); ++i) {
    dy.push_back(Rng(1).Normal(i));
    const double q = x[i] / scale;
    const double r =
        Codebook::Create(values)->values()[Codebook::Create(values)->Nearest(x[i] / 0.5f)] - clamped(q);
    const auto y = [&](double xi, double s) { return s * (clamped(xi / s) + r); };
    dscale += dy[i] * (y(x[i], scale + step) - y(x[i], scale - step)) / (2 * step);
    const double dx = (y(x[i] + step, scale) - y(x[i] - step, scale)) / (2 * step);
    const Gradients one = Backward(values, {x[i]}, 0.5f, {1});
    EXPECT_NEAR(one.dx[0], dx, 1e-6) << x[i];
  }
  EXPECT_NEAR(Backward(values, x, 0.5f, dy).dscale, dscale, 1e-6);
}

// Equal values are no dead end: what is below goes to the first, what is above to the last.
TEST(CodebookGradientTest, PullsEqualValuesApart) {
  const Gradients g = MeanSquareGradients({0, 0}, {-1, 1});
  EXPECT_EQ(g.dvalues, (std::vector<double>{1, -1}));
}

// Plain gradient descent on the squared error, from a small float's grid to Max's optimum for normal data
// (see codebook_init_test), through steps so large that values change places.
TEST(CodebookGradientTest, DescentFindsTheBestCodebook) {
  const Rng rng(5);
  std::vector<float> x;
  for (int i = 0; i < 20000; ++i) x.push_back(rng.Normal(i));
  const auto error = [&](const std::vector<float>& values) {
    const std::vector<float> y = Forward(values, x, 1);
    double sum = 0;
    for (size_t i = 0; i < x.size(); ++i) sum += (double{x[i]} - y[i]) * (double{x[i]} - y[i]);
    return sum / static_cast<double>(x.size());
  };
  std::vector<float> values = {-0.1f, 0, 0.05f, 0.1f};
  EXPECT_GT(error(values), 0.7);
  int changes = 0;
  for (int step = 0; step < 400; ++step) {
    const Gradients g = MeanSquareGradients(values, x);
    const double rate = step < 10 ? 3 : 1;
    for (size_t j = 0; j < values.size(); ++j) values[j] -= static_cast<float>(rate * g.dvalues[j]);
    const std::vector<float> before = values;
    SortValues(absl::MakeSpan(values));
    changes += values != before;
  }
  EXPECT_GT(changes, 0);
  EXPECT_NEAR(error(values), 0.1175, 0.003);
}

}  // namespace
}  // namespace halftone
