// Mixed precision by hand, for code that has its own loops over its own arrays: 16-bit weights with float32
// masters, a loss scale, 16-bit gradients that are unscaled and checked. Linear regression, so that all of it
// fits on a page; and the same without masters, to see what they are for.
//
//   ./bazelw run //examples:manual_mixed_precision

#include <cstdint>
#include <cstdio>
#include <vector>

#include "base/philox.h"
#include "fp16/half.h"
#include "scaler/unscale.h"
#include "scaler/weight_manager.h"

namespace halftone {
namespace {

constexpr size_t kRows = 512, kFeatures = 32;

struct Data {
  std::vector<half> x = std::vector<half>(kRows * kFeatures);
  std::vector<float> y = std::vector<float>(kRows);
};

// y = x w for weights w that the training does not see.
Data MakeData() {
  Data data;
  const Rng x = Rng(1).Stream(0), w = Rng(1).Stream(1);
  for (size_t r = 0; r < kRows; ++r) {
    for (size_t f = 0; f < kFeatures; ++f) {
      data.x[r * kFeatures + f] = half(x.Normal(r * kFeatures + f));
      data.y[r] += data.x[r * kFeatures + f] * w.Normal(f);
    }
  }
  return data;
}

// Half the mean squared error; `gradients` are those of `scale` times it.
double Loss(const Data& data, absl::Span<const half> weights, float scale, absl::Span<half> gradients) {
  double loss = 0;
  std::vector<float> sums(kFeatures);
  for (size_t r = 0; r < kRows; ++r) {
    const half* x = &data.x[r * kFeatures];
    float error = -data.y[r];
    for (size_t f = 0; f < kFeatures; ++f) error += x[f] * weights[f];
    loss += error * error / (2 * kRows);
    const half seeded(scale * error / kRows);  // what a backward pass in float16 hands on
    for (size_t f = 0; f < kFeatures; ++f) sums[f] += seeded * x[f];
  }
  for (size_t f = 0; f < kFeatures; ++f) gradients[f] = half(sums[f]);
  return loss;
}

double Train(const Data& data, bool masters) {
  const std::vector<float> initial(kFeatures, 0.0f);
  WeightManager<half> weights({.masters = masters}, {initial});
  std::vector<half> scaled(kFeatures);
  std::vector<float> gradients(kFeatures);
  float scale = 1 << 17;
  double loss = 0;
  std::printf("%s\n", masters ? "float16 weights with float32 masters:" : "float16 weights alone:");
  for (int step = 1; step <= 400; ++step) {
    loss = Loss(data, weights.Working(0), scale, absl::MakeSpan(scaled));
    const GradStats stats =
        UnscaleAndCheck({absl::Span<const half>(scaled)}, {absl::MakeSpan(gradients)}, scale);
    if (!stats.finite) {
      std::printf("  step %3d: overflow with scale %g, skipped\n", step, scale);
      scale /= 2;
      continue;
    }
    weights.StartStep(step);
    weights.Update([&](size_t, size_t begin, absl::Span<float> w) {
      for (size_t j = 0; j < w.size(); ++j) w[j] -= 0.05f * gradients[begin + j];
    });
    if (step % 100 == 0) std::printf("  step %3d: loss %.2e, gradient %.2e\n", step, loss, stats.norm);
  }
  return loss;
}

}  // namespace
}  // namespace halftone

int main() {
  const halftone::Data data = halftone::MakeData();
  const double with = halftone::Train(data, /*masters=*/true);
  const double without = halftone::Train(data, /*masters=*/false);
  // Without masters, training ends where the updates are smaller than half the distance between two weights.
  std::printf("the masters make the loss %.0f times smaller\n", without / with);
  return with < 1e-5 && without > 10 * with ? 0 : 1;
}
