#include "train/checkpoint/pretrained.h"

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "base/file.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "io/safetensors/safetensors.h"
#include "models/model.h"
#include "tensor/ops/cast/cast.h"
#include "testing/tensors.h"
#include "train/checkpoint/state_dict.h"

namespace halftone {
namespace {

class PretrainedTest : public ::testing::Test {
 protected:
  std::unique_ptr<nn::Module> Model(const models::ModelOptions& options, uint64_t seed) {
    auto model = models::MakeModel(options).value();
    nn::Initialize(*model, device_, Rng(seed));
    return model;
  }
  std::unique_ptr<nn::Module> Bert(uint64_t seed, int64_t classes = 1) {
    return Model({.name = "bert",
                  .width = 8,
                  .depth = 1,
                  .heads = 2,
                  .vocabulary = 20,
                  .max_position = 10,
                  .num_classes = classes,
                  .text = models::TextShape{.vocabulary = 20, .max_length = 10}},
                 seed);
  }
  std::string Write(const std::vector<NamedTensor>& tensors,
                    const std::map<std::string, std::string>& metadata = {}) {
    const std::string path = ::testing::TempDir() + "/pretrained_test.safetensors";
    EXPECT_TRUE(WriteSafetensors(path, tensors, metadata).ok());
    return path;
  }
  // Of how many tensors `a` and `b` have the same bits.
  static int Same(nn::Module& a, nn::Module& b) {
    const std::vector<NamedTensor> x = StateDict(a), y = StateDict(b);
    int same = 0;
    for (size_t i = 0; i < x.size(); ++i) same += SameBits(x[i].tensor, y[i].tensor);
    return same;
  }

  Device device_;
};

TEST_F(PretrainedTest, AHuggingFaceBertLacksOurPrefixAndOurClassifier) {
  const auto from = Bert(1), to = Bert(2), fresh = Bert(2);
  std::vector<NamedTensor> tensors = {
      {"embeddings.position_ids", Tensor::Zeros(device_, DType::kI64, {1, 10})}};
  for (const NamedTensor& t : StateDict(*from)) {
    if (t.name.starts_with("bert.")) tensors.push_back({t.name.substr(5), t.tensor});
  }
  const PretrainedReport report = LoadPretrainedWeights(Write(tensors), *to).value();
  EXPECT_EQ(report.loaded, static_cast<int64_t>(tensors.size()) - 1);
  EXPECT_EQ(report.missing, (std::vector<std::string>{"fc.weight", "fc.bias"}));
  EXPECT_EQ(report.unexpected, (std::vector<std::string>{"embeddings.position_ids"}));
  EXPECT_TRUE(report.other_shape.empty());
  const std::vector<NamedTensor> now = StateDict(*to), was = StateDict(*from), start = StateDict(*fresh);
  for (size_t i = 0; i < now.size(); ++i) {
    const bool classifier = now[i].name.starts_with("fc.");
    EXPECT_TRUE(SameBits(now[i].tensor, (classifier ? start : was)[i].tensor)) << now[i].name;
  }
  const std::vector<std::string> lines = report.Lines("hf.safetensors");
  ASSERT_EQ(lines.size(), 3u);
  EXPECT_EQ(lines[0],
            absl::StrFormat(
                "weights: %d tensors, %.3g %% of the model's numbers, from hf.safetensors, as \"bert.*\"",
                report.loaded, 100 * report.share));
  EXPECT_GT(report.share, 0.9);
  EXPECT_LT(report.share, 1);
  EXPECT_EQ(lines[1], "weights: not in the file, new: fc.weight, fc.bias");
  EXPECT_EQ(lines[2], "weights: in the file, not in the model: embeddings.position_ids");
}

TEST_F(PretrainedTest, NamesWithOnePartMoreAndSixteenBits) {
  const auto from = Model({.name = "cnn", .width = 4}, 1), to = Model({.name = "cnn", .width = 4}, 2);
  std::vector<NamedTensor> tensors, state = StateDict(*from);
  for (NamedTensor& t : state) {
    if (IsFloat(t.tensor.dtype())) {
      tensors.push_back({"module." + t.name, ops::Cast(t.tensor, DType::kBF16)});
    } else {
      t.tensor.span<int64_t>()[0] = 77;
      tensors.push_back({"module." + t.name, t.tensor});
    }
  }
  const PretrainedReport report = LoadPretrainedWeights(Write(tensors), *to).value();
  EXPECT_EQ(report.stripped, "module.");
  EXPECT_TRUE(report.missing.empty() && report.unexpected.empty());
  const std::vector<NamedTensor> now = StateDict(*to);
  for (size_t i = 0; i < now.size(); ++i) {
    const Tensor& file = tensors[i].tensor;
    EXPECT_TRUE(SameBits(now[i].tensor, IsFloat(file.dtype()) ? ops::Cast(file, DType::kF32) : file))
        << now[i].name;
  }
}

TEST_F(PretrainedTest, AnotherNumberOfClassesStartsAnew) {
  const auto from = Bert(1, 5), to = Bert(2, 1);
  const PretrainedReport report = LoadPretrainedWeights(Write(StateDict(*from)), *to).value();
  EXPECT_EQ(report.other_shape,
            (std::vector<std::string>{"fc.weight [1, 8] (there [5, 8])", "fc.bias [1] (there [5])"}));
  EXPECT_TRUE(report.missing.empty());
  EXPECT_EQ(Same(*from, *to), report.loaded);
}

TEST_F(PretrainedTest, AnotherArchitectureIsAnError) {
  const auto cnn = Model({.name = "cnn", .width = 4}, 1), bert = Bert(1);
  const std::string path = Write(StateDict(*cnn));
  const absl::Status status = LoadPretrainedWeights(path, *bert).status();
  EXPECT_EQ(status.message().find(path + " holds another architecture: "), 0u) << status;
  EXPECT_EQ(status.message().find('\n'), absl::string_view::npos) << status;
  EXPECT_FALSE(LoadPretrainedWeights(Write({}), *bert).ok());
  // The networks' batch norms have counters of the same names, and weights of other shapes.
  EXPECT_FALSE(LoadPretrainedWeights(path, *Model({.name = "resnet20", .width = 12}, 1)).ok());
  // ... and networks of equal widths share a layer or two.
  const absl::Status first =
      LoadPretrainedWeights(Write(StateDict(*Model({.name = "resnet18", .width = 4}, 1))),
                            *Model({.name = "cnn", .width = 4}, 1))
          .status();
  EXPECT_THAT(first.message(),
              testing::HasSubstr("of the model's numbers are in it, expected at least 10 %"));
  EXPECT_FALSE(LoadPretrainedWeights("no/such/file", *bert).ok());
  EXPECT_EQ(Same(*bert, *Bert(1)), static_cast<int>(StateDict(*bert).size()));
}

TEST_F(PretrainedTest, CodesOfQuantisedWeightsAreNoWeights) {
  const auto cnn = Model({.name = "cnn", .width = 4}, 1);
  const std::string path = Write(StateDict(*cnn), {{"halftone.quantized.conv1.weight", "{}"}});
  const auto to = Model({.name = "cnn", .width = 4}, 2);
  const absl::Status status = LoadPretrainedWeights(path, *to).status();
  EXPECT_EQ(status.message(), path +
                                  " holds codes of quantised weights, not weights; expected floats: convert "
                                  "it with --to=float32 first");
  EXPECT_EQ(Same(*cnn, *to), Same(*cnn, *Model({.name = "cnn", .width = 4}, 2)));
}

TEST_F(PretrainedTest, ADamagedFileIsAnError) {
  const std::string path = Write(StateDict(*Bert(1)));
  const std::string bytes = ReadFile(path).value();
  ASSERT_TRUE(WriteFileAtomically(path, bytes.substr(0, bytes.size() - 1)).ok());
  const auto bert = Bert(2);
  const absl::Status status = LoadPretrainedWeights(path, *bert).status();
  EXPECT_EQ(status.message().find(path), 0u) << status;
}

}  // namespace
}  // namespace halftone
