// Twenty steps of every optimiser of PyTorch's that we have: the twin in double and in float, and the
// kernels.
#include <algorithm>
#include <cmath>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/types/span.h"
#include "base/file.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"
#include "nn/optim/adam.h"
#include "nn/optim/optim_twin.h"
#include "nn/optim/sgd.h"

namespace halftone {
namespace {

using Rows = std::vector<std::vector<double>>;

// Of each element, relative to its largest magnitude in the run.
constexpr double kFloat64Tolerance = 1e-13, kFloat32Tolerance = 5e-6;

SgdOptions ToSgd(const nlohmann::json& hyper) {
  return {.momentum = hyper.value("momentum", 0.0),
          .dampening = hyper.value("dampening", 0.0),
          .weight_decay = hyper.value("weight_decay", 0.0),
          .nesterov = hyper.value("nesterov", false)};
}

AdamOptions ToAdam(const nlohmann::json& hyper) {
  return {.beta1 = hyper["betas"][0],
          .beta2 = hyper["betas"][1],
          .epsilon = hyper["eps"],
          .weight_decay = hyper["weight_decay"]};
}

class OptimizerGoldenTest : public testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    const auto text = ReadFile(std::string("nn/optim/testdata/") + GetParam() + ".json");
    ASSERT_TRUE(text.ok()) << text.status();
    golden_ = nlohmann::json::parse(*text);
    hyper_ = golden_["hyper"];
    grads_ = golden_["grads"].get<Rows>();
    ASSERT_EQ(grads_.size(), 20);
    step_.learning_rate = hyper_["lr"];
  }

  bool is_sgd() const { return hyper_["optimizer"] == "sgd"; }
  bool is_adamw() const { return hyper_["optimizer"] == "adamw"; }

  // The weights after each step of `twin`.
  template <typename T, typename Twin>
  Rows Run(Twin twin) {
    std::vector<T> w = golden_["w0"];
    Rows rows;
    for (const auto& grad : grads_) {
      twin.Step(w, std::vector<T>(grad.begin(), grad.end()), step_);
      rows.emplace_back(w.begin(), w.end());
    }
    if constexpr (requires { twin.momentum; }) {
      if (hyper_.value("momentum", 0.0) != 0)
        state_["momentum_buffer"] = {twin.momentum.begin(), twin.momentum.end()};
    } else {
      state_["exp_avg"] = {twin.exp_avg.begin(), twin.exp_avg.end()};
      state_["exp_avg_sq"] = {twin.exp_avg_sq.begin(), twin.exp_avg_sq.end()};
    }
    return rows;
  }

  template <typename T>
  Rows RunTwin() {
    if (is_sgd()) return Run<T>(SgdTwin<T>{ToSgd(hyper_)});
    return Run<T>(AdamTwin<T>{ToAdam(hyper_), is_adamw()});
  }

  std::unique_ptr<Optimizer> Make() {
    absl::StatusOr<std::unique_ptr<Optimizer>> optimizer;
    if (is_sgd()) {
      optimizer = MakeSgd(ToSgd(hyper_));
    } else if (is_adamw()) {
      const AdamOptions o = ToAdam(hyper_);
      optimizer = MakeAdamW(
          {.beta1 = o.beta1, .beta2 = o.beta2, .epsilon = o.epsilon, .weight_decay = o.weight_decay});
    } else {
      optimizer = MakeAdam(ToAdam(hyper_));
    }
    EXPECT_TRUE(optimizer.ok()) << optimizer.status();
    return *std::move(optimizer);
  }

  // The same with the real optimiser, which is saved and restored into a fresh one after `resume_after`
  // steps.
  Rows RunOptimizer(size_t resume_after) {
    std::unique_ptr<Optimizer> optimizer = Make();
    std::vector<float> w = golden_["w0"], grad(w.size());
    const ParamRef param = {"w", absl::MakeSpan(w), grad};
    Rows rows;
    for (size_t t = 0; t < grads_.size(); ++t) {
      if (t == resume_after) {
        std::unique_ptr<Optimizer> resumed = Make();
        const absl::Status status = resumed->Restore({param}, optimizer->State());
        EXPECT_TRUE(status.ok()) << status;
        optimizer = std::move(resumed);
      }
      std::copy(grads_[t].begin(), grads_[t].end(), grad.begin());
      optimizer->Step({param}, step_);
      rows.emplace_back(w.begin(), w.end());
    }
    for (const StateTensor& tensor : optimizer->State().tensors) {
      std::string name = tensor.name.substr(0, tensor.name.find("/w"));
      if (name == "momentum") name = "momentum_buffer";
      state_[name] = {tensor.value.begin(), tensor.value.end()};
    }
    return rows;
  }

  // Against the weights w_<run> and the final state state_<run> of the golden file.
  void ExpectGolden(const Rows& rows, const char* run, double tolerance) {
    const Rows expected = golden_[std::string("w_") + run];
    ASSERT_EQ(rows.size(), expected.size());
    for (size_t i = 0; i < expected[0].size(); ++i) {
      double largest = 0;
      for (const auto& row : expected) largest = std::max(largest, std::fabs(row[i]));
      for (size_t t = 0; t < rows.size(); ++t) {
        EXPECT_NEAR(rows[t][i], expected[t][i], tolerance * largest) << "step " << t << ", element " << i;
      }
    }
    const nlohmann::json state = golden_[std::string("state_") + run];
    ASSERT_EQ(state_.size(), state.size());
    for (const auto& [name, values] : state.items()) {
      ASSERT_EQ(state_[name].size(), values.size()) << name;
      // The state's magnitude over the whole run is not recorded: that of the gradients stands in for it.
      for (size_t i = 0; i < values.size(); ++i) {
        double largest = 0;
        for (const auto& grad : grads_) largest = std::max(largest, std::fabs(grad[i]));
        if (name == "exp_avg_sq") largest *= largest;
        largest = std::max({largest, std::fabs(values[i].get<double>()), std::fabs(expected.back()[i])});
        EXPECT_NEAR(state_[name][i], values[i], tolerance * largest) << name << ", element " << i;
      }
    }
  }

  nlohmann::json golden_, hyper_;
  Rows grads_;
  StepOptions step_;
  std::map<std::string, std::vector<double>> state_;  // by PyTorch's names, at the end of the last run
};

TEST_P(OptimizerGoldenTest, TwinInDouble) { ExpectGolden(RunTwin<double>(), "f64", kFloat64Tolerance); }

TEST_P(OptimizerGoldenTest, TwinInFloat) { ExpectGolden(RunTwin<float>(), "f32", kFloat32Tolerance); }

TEST_P(OptimizerGoldenTest, Optimizer) {
  ExpectGolden(RunOptimizer(grads_.size()), "f32", kFloat32Tolerance);
}

TEST_P(OptimizerGoldenTest, ResumingAnywhereChangesNoBit) {
  const Rows whole = RunOptimizer(grads_.size());
  for (size_t t = 0; t < grads_.size(); ++t) EXPECT_EQ(RunOptimizer(t), whole) << t;
}

INSTANTIATE_TEST_SUITE_P(PyTorch, OptimizerGoldenTest,
                         testing::Values("sgd", "sgd_weight_decay", "sgd_momentum",
                                         "sgd_momentum_weight_decay", "sgd_nesterov",
                                         "sgd_nesterov_weight_decay", "sgd_dampening", "adam",
                                         "adam_weight_decay", "adam_betas_eps", "adamw", "adamw_betas_decay"),
                         [](const auto& info) { return std::string(info.param); });

}  // namespace
}  // namespace halftone
