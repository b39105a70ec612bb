// Whole models against PyTorch: logits, losses, every gradient, ten optimiser steps, mixed precision.
// testing/golden/README.md says what the files hold and how distances are measured.

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "amp/recipe.h"
#include "base/file.h"
#include "gtest/gtest.h"
#include "io/numpy/npy.h"
#include "io/safetensors/safetensors.h"
#include "models/model.h"
#include "nlohmann/json.hpp"
#include "nn/functional.h"
#include "nn/optim/adam.h"
#include "nn/optim/sgd.h"
#include "testing/device.h"
#include "train/checkpoint/state_dict.h"
#include "train/trainer.h"

namespace halftone {
namespace {

using nlohmann::json;

// A golden folder, and which of our models it is of.
struct GoldenModel {
  const char* name;
  models::ModelOptions options;
};

std::ostream& operator<<(std::ostream& out, const GoldenModel& m) { return out << m.name; }

const GoldenModel kGolden[] = {
    {"cnn", {.name = "cnn", .width = 8}},
    {"cnn_prelu", {.name = "cnn", .activation = "prelu", .width = 8}},
    {"mlp", {.name = "mlp", .image = {.channels = 1, .height = 28, .width = 28}}},
    {"resnet18", {.name = "resnet18", .width = 8}},
    {"resnet20", {.name = "resnet20", .width = 8}},
    {"resnet20_swish", {.name = "resnet20", .activation = "swish", .width = 8}},
    {"mobilenetv2", {.name = "mobilenetv2", .width = 8, .dropout = 0}},
    {"vit", {.name = "vit", .width = 48, .depth = 2}},
    {"mixer", {.name = "mixer", .width = 64, .depth = 2}},
    {"gcn", {.name = "gcn", .width = 32}},
    {"bignet", {.name = "bignet", .width = 64, .image = {.channels = 64, .height = 1, .width = 1}}},
    {"bert",
     {.name = "bert",
      .width = 48,
      .depth = 2,
      .heads = 3,
      .dropout = 0,
      .mlp_width = 96,
      .vocabulary = 200,
      .max_position = 64,
      .num_classes = 1,
      .text = models::TextShape{.vocabulary = 200, .max_length = 24}}},
};

// Where a golden folder is: in the repository, or in the shared folder; empty if neither has it.
std::string Folder(const std::string& name) {
  const std::string carried = "testing/golden/" + name;
  if (std::filesystem::exists(carried)) return carried;
  const char* shared = std::getenv("HALFTONE_SHARED");
  return shared == nullptr ? "" : std::string(shared) + "/reference/" + name;
}

json Json(const std::string& path) { return json::parse(ReadFile(path).value()); }

// [N, C, H, W] -> [N, H, W, C]; rows of numbers stay as they are.
Tensor ToNhwc(const Tensor& t, Device& device) {
  const Shape& s = t.shape();
  if (s.rank() == 2) return t;
  Tensor out = Tensor::Empty(device, DType::kF32, {s[0], s[2], s[3], s[1]});
  const float* in = t.data<float>();
  for (int64_t n = 0; n < s[0]; ++n)
    for (int64_t c = 0; c < s[1]; ++c)
      for (int64_t y = 0; y < s[2]; ++y)
        for (int64_t x = 0; x < s[3]; ++x) out.data<float>()[((n * s[2] + y) * s[3] + x) * s[1] + c] = *in++;
  return out;
}

// Three planes [..., B, S], side by side: [..., B, 3, S].
Tensor Tokens(const Tensor& ids, const Tensor& mask, const Tensor& types, Device& device) {
  const int64_t length = ids.shape()[-1], rows = ids.elements() / length;
  std::vector<int64_t> dims(ids.shape().dims().begin(), ids.shape().dims().end());
  dims.insert(dims.end() - 1, 3);
  Tensor out = Tensor::Empty(device, DType::kI64, Shape(dims));
  int64_t* to = out.data<int64_t>();
  for (int64_t r = 0; r < rows; ++r) {
    for (const Tensor* plane : {&ids, &mask, &types}) {
      to = std::copy_n(plane->data<int64_t>() + r * length, length, to);
    }
  }
  return out;
}

std::vector<double> Values(const Tensor& t) {
  if (t.dtype() == DType::kI64)
    return std::vector<double>(t.span<int64_t>().begin(), t.span<int64_t>().end());
  return VisitFloat(t.dtype(), [&](auto type) {
    std::vector<double> v;
    for (const auto e : t.span<decltype(type)>()) v.push_back(static_cast<double>(static_cast<float>(e)));
    if constexpr (std::is_same_v<decltype(type), double>)
      v.assign(t.span<double>().begin(), t.span<double>().end());
    return v;
  });
}

double MaxAbs(const std::vector<double>& v) {
  double m = 0;
  for (const double e : v) m = std::max(m, std::fabs(e));
  return m;
}

// max |a - b| / max(max |b|, floor).
double Distance(const Tensor& a, const Tensor& b, double floor = 0) {
  const std::vector<double> x = Values(a), y = Values(b);
  EXPECT_EQ(x.size(), y.size());
  double difference = 0;
  for (size_t i = 0; i < std::min(x.size(), y.size()); ++i) {
    EXPECT_FALSE(std::isnan(x[i]));
    difference = std::max(difference, std::fabs(x[i] - y[i]));
  }
  return difference / std::max({MaxAbs(y), floor, 1e-300});
}

class GoldenTest : public ::testing::TestWithParam<GoldenModel> {
 protected:
  void SetUp() override {
    folder_ = Folder(GetParam().name);
    if (folder_.empty()) GTEST_SKIP() << "not carried; set HALFTONE_SHARED";
    meta_ = Json(folder_ + "/meta.json");
    input_ = text() ? Tokens("") : ToNhwc(Npy("input"), device_);
    labels_ = Npy("labels");
  }

  bool text() const { return GetParam().options.text.has_value(); }
  Tensor Tokens(const std::string& prefix) {
    return halftone::Tokens(Npy(prefix + "input_ids"), Npy(prefix + "attention_mask"),
                            Npy(prefix + "token_type_ids"), device_);
  }
  Tensor Npy(const std::string& name) { return ReadNpy(device_, folder_ + "/" + name + ".npy").value(); }
  double Tolerance(const char* what) { return meta_["tolerance"][what].get<double>(); }

  std::unique_ptr<nn::Module> Model() {
    auto model = models::MakeModel(GetParam().options);
    EXPECT_TRUE(model.ok()) << model.status();
    nn::Initialize(**model, device_, Rng(1));
    Load(**model);
    return *std::move(model);
  }

  void Load(nn::Module& model) {
    const std::string file = folder_ + "/weights.safetensors";
    const absl::Status status = LoadStateDict(SafetensorsReader::Open(file).value(), file, model);
    ASSERT_TRUE(status.ok()) << status;
  }

  // Every gradient against the file's: the worst distance, and the L2 distance over all of them together.
  struct GradientDistance {
    double worst = 0, l2 = 0;
    std::string worst_name;
  };
  GradientDistance CompareGradients(nn::Module& model, const std::string& file, double unscale) {
    const SafetensorsReader golden = SafetensorsReader::Open(file).value();
    const double floor = 0.01 * meta_["grad_max_abs"].get<double>();
    GradientDistance d;
    double squares = 0, golden_squares = 0;
    size_t seen = 0;
    nn::ForEachParameter(model, [&](const std::string& path, nn::Parameter& p) {
      Tensor gradient = p.gradient().Clone();
      for (float& v : gradient.span<float>()) v = static_cast<float>(v * unscale);
      const Tensor expected = golden.Read(device_, path).value();
      const double distance = Distance(gradient, expected, floor);
      if (distance > d.worst) d.worst = distance, d.worst_name = path;
      for (int64_t i = 0; i < expected.elements(); ++i) {
        const double e = expected.span<float>()[i], g = gradient.span<float>()[i];
        squares += (g - e) * (g - e);
        golden_squares += e * e;
      }
      ++seen;
    });
    EXPECT_EQ(seen, golden.arrays().size());
    d.l2 = std::sqrt(squares / golden_squares);
    return d;
  }

  Device& device_ = TestDevice();
  std::string folder_;
  json meta_;
  Tensor input_, labels_;
};

TEST_P(GoldenTest, EvaluationMode) {
  const std::unique_ptr<nn::Module> model = Model();
  nn::Graph graph({.device = &device_, .gradients = false});
  const nn::Variable logits = model->Forward(graph.Input(input_));
  EXPECT_LE(Distance(logits.value(), Npy("logits_eval")), Tolerance("logits_eval"));
  EXPECT_NEAR(nn::ClassificationLoss(logits, labels_).Item() / Npy("loss_eval").data<double>()[0], 1,
              Tolerance("loss_eval"));
}

TEST_P(GoldenTest, TrainingModeLossGradientsAndBuffers) {
  const std::unique_ptr<nn::Module> model = Model();
  nn::Graph graph({.device = &device_, .training = true});
  const nn::Variable x = graph.Input(input_, /*requires_grad=*/!text());
  const nn::Variable logits = model->Forward(x);
  EXPECT_LE(Distance(logits.value(), Npy("logits_train")), Tolerance("logits_train"));
  const nn::Variable loss = nn::ClassificationLoss(logits, labels_);
  EXPECT_NEAR(loss.Item() / Npy("loss").data<double>()[0], 1, Tolerance("loss"));
  graph.Backward(loss);
  if (!text()) {
    const Tensor input_gradient = ToNhwc(Npy("grad_input"), device_);
    EXPECT_LE(Distance(graph.Gradient(x), input_gradient), Tolerance("grad_input"));
  }
  const GradientDistance d = CompareGradients(*model, folder_ + "/grads.safetensors", 1);
  EXPECT_LE(d.worst, Tolerance("grads")) << d.worst_name;
  if (!std::filesystem::exists(folder_ + "/buffers_after.safetensors")) return;
  const SafetensorsReader buffers = SafetensorsReader::Open(folder_ + "/buffers_after.safetensors").value();
  nn::ForEachBuffer(*model, [&](const std::string& path, nn::Buffer& b) {
    EXPECT_LE(Distance(b.value, buffers.Read(device_, path).value()), Tolerance("buffers_after")) << path;
  });
}

// Batch `step` of a trajectory's inputs: pixels [10, 16, C, H, W] of 8 bits, to be normalised, rows [10, 16,
// n], or tokens [10, 16, 3, S].
Tensor TrajectoryBatch(const Tensor& inputs, int64_t step, const json& trajectory, Device& device) {
  const Shape& s = inputs.shape();
  if (inputs.dtype() == DType::kF32) {
    const int64_t n = s[1] * s[2];
    return Tensor::From<float>(device, {s[1], s[2]}, inputs.span<float>().subspan(step * n, n));
  }
  if (inputs.dtype() == DType::kI64) {
    const int64_t n = inputs.elements() / s[0];
    return Tensor::From<int64_t>(device, {s[1], s[2], s[3]}, inputs.span<int64_t>().subspan(step * n, n));
  }
  const json &mean = trajectory["normalisation"]["mean"], &stddev = trajectory["normalisation"]["std"];
  Tensor images = Tensor::Empty(device, DType::kF32, {s[1], s[2], s[3], s[4]});
  const int64_t n = images.elements(), plane = s[3] * s[4];
  for (int64_t i = 0; i < n; ++i) {
    const int64_t c = i / plane % s[2];
    const double v = inputs.span<uint8_t>()[step * n + i] / 255.0;
    images.span<float>()[i] = static_cast<float>((v - mean[c].get<double>()) / stddev[c].get<double>());
  }
  return ToNhwc(images, device);
}

std::unique_ptr<Optimizer> OptimizerOf(const json& run) {
  const double decay = run["weight_decay"];
  if (run["optimizer"] == "sgd") return MakeSgd({.momentum = run["momentum"], .weight_decay = decay}).value();
  const double beta1 = run["betas"][0], beta2 = run["betas"][1], eps = run["eps"];
  if (run["optimizer"] == "adam") {
    return MakeAdam({.beta1 = beta1, .beta2 = beta2, .epsilon = eps, .weight_decay = decay}).value();
  }
  return MakeAdamW({.beta1 = beta1, .beta2 = beta2, .epsilon = eps, .weight_decay = decay}).value();
}

TEST_P(GoldenTest, TenStepsOfEachOptimiser) {
  const json trajectory = Json(folder_ + "/trajectory.json");
  const Tensor inputs = text() ? Tokens("trajectory_") : Npy("trajectory_inputs");
  const Tensor labels = Npy("trajectory_labels");
  const int64_t steps = inputs.shape()[0], batch = inputs.shape()[1];
  for (const json& run : trajectory["runs"]) {
    SCOPED_TRACE(run["optimizer"].get<std::string>());
    auto model = models::MakeModel(GetParam().options);
    auto schedule = MakeConstantSchedule({}, run["lr"], trajectory["steps"]).value();
    const GradScaler scaler = GradScaler::Create({.enabled = false}).value();
    Trainer trainer(device_, *std::move(model), OptimizerOf(run), std::move(schedule), scaler, {});
    Load(trainer.model());
    for (int64_t step = 0; step < steps; ++step) {
      const absl::StatusOr<StepResult> result = trainer.Step(
          {TrajectoryBatch(inputs, step, trajectory, device_),
           Tensor::From<int64_t>(device_, {batch}, labels.span<int64_t>().subspan(step * batch, batch))});
      ASSERT_TRUE(result.ok()) << result.status();
      EXPECT_NEAR(result->loss / run["loss_f64"][step].get<double>(), 1,
                  run["loss_tolerance"][step].get<double>())
          << step;
    }
    for (const NamedTensor& t : StateDict(trainer.model())) {
      const json& golden = run["final_f64"][t.name];
      double sum = 0, squares = 0;
      for (const double v : Values(t.tensor)) sum += v, squares += v * v;
      const double l2 = golden["l2"], tolerance = golden["tolerance"];
      EXPECT_NEAR(std::sqrt(squares), l2, tolerance * l2) << t.name;
      EXPECT_NEAR(sum, golden["sum"].get<double>(), tolerance * l2 * std::sqrt(t.tensor.elements()))
          << t.name;
    }
    nn::Graph graph({.device = &device_, .gradients = false});
    const std::vector<double> logits = Values(trainer.model().Forward(graph.Input(input_)).value());
    std::vector<double> expected;
    for (const json& row : run["final_logits_eval_f64"]) {
      for (const json& v : row) expected.push_back(v);
    }
    ASSERT_EQ(logits.size(), expected.size());
    const double tolerance = run["final_logits_eval_tolerance"].get<double>() * MaxAbs(expected);
    for (size_t i = 0; i < logits.size(); ++i) EXPECT_NEAR(logits[i], expected[i], tolerance);
  }
}

TEST_P(GoldenTest, MixedPrecision) {
  for (const auto& [recipe, format] : {std::pair("amp_fp16", "fp16"), std::pair("amp_bf16", "bf16")}) {
    SCOPED_TRACE(recipe);
    const std::string name = std::string(GetParam().name) + "_" + format;
    const std::string folder = Folder("amp/" + name);
    if (folder.empty() || !std::filesystem::exists(folder)) GTEST_SKIP() << "no golden outputs of this model";
    const json golden = Json(folder + "/../amp.json")[name];
    const std::unique_ptr<nn::Module> model = Model();
    const nn::CastPolicy policy = amp::MakePolicy(amp::FindRecipe(recipe).value());
    nn::Graph graph({.device = &device_, .policy = &policy, .training = true});
    const nn::Variable logits = model->Forward(graph.Input(input_));
    // In the lower precision, not only close to it.
    EXPECT_EQ(logits.dtype(), *policy.lower);
    const auto read = [&](const char* file) { return ReadNpy(device_, folder + file).value(); };
    EXPECT_LE(Distance(logits.value(), read("/logits.npy")), golden["tolerance"]["logits"].get<double>());
    const nn::Variable loss = nn::ClassificationLoss(logits, labels_);
    EXPECT_NEAR(loss.Item() / read("/loss.npy").data<float>()[0], 1,
                golden["tolerance"]["loss"].get<double>());
    const double scale = golden["loss_scale"];
    graph.Backward(loss, scale);
    const GradientDistance d = CompareGradients(*model, folder + "/grads.safetensors", 1 / scale);
    EXPECT_LE(d.l2, golden["tolerance"]["grads_l2"].get<double>());
  }
}

// The exact sums of the products, rounded once to float16 in each linear layer.
TEST(HalfBigNetGoldenTest, Evaluation) {
  const std::string folder = Folder("halfbignet");
  if (folder.empty()) GTEST_SKIP() << "not carried; set HALFTONE_SHARED";
  Device& device = TestDevice();
  auto model = models::MakeModel(
      {.name = "halfbignet", .width = 64, .image = {.channels = 64, .height = 1, .width = 1}});
  ASSERT_TRUE(model.ok()) << model.status();
  nn::Initialize(**model, device, Rng(1));
  const std::string file = folder + "/weights.safetensors";
  const absl::Status status = LoadStateDict(SafetensorsReader::Open(file).value(), file, **model);
  ASSERT_TRUE(status.ok()) << status;
  nn::Graph graph({.device = &device, .gradients = false});
  const nn::Variable y = (*model)->Forward(graph.Input(ReadNpy(device, folder + "/input.npy").value()));
  EXPECT_EQ(y.dtype(), DType::kF32);
  // Some sums lie next to the middle between two float16 numbers.
  EXPECT_LE(Distance(y.value(), ReadNpy(device, folder + "/logits_eval.npy").value()), 2e-3);
}

INSTANTIATE_TEST_SUITE_P(Models, GoldenTest, ::testing::ValuesIn(kGolden),
                         [](const auto& info) { return std::string(info.param.name); });

}  // namespace
}  // namespace halftone
