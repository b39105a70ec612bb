// interop_bert <weights> <vocab.txt> <width> <depth> <heads> <recipe> <input> <output.safetensors>: a BERT of
// somebody else's weights on the lines of the input, one batch, for testing/interop to compare. The output
// holds input_ids, attention_mask and last_hidden_state.
#include <algorithm>
#include <cstdio>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "amp/recipe.h"
#include "base/status_macros.h"
#include "datasets/text/text_batch.h"
#include "datasets/text/wordpiece.h"
#include "io/safetensors/safetensors.h"
#include "models/model.h"
#include "tensor/ops/cast/cast.h"
#include "train/checkpoint/pretrained.h"

namespace halftone {
namespace {

// [B, 3, S], of the lines of a file.
Tensor Read(Device& device, const WordPieceTokenizer& tokenizer, const std::string& path) {
  std::vector<Encoding> encodings;
  size_t longest = 0;
  std::ifstream in(path);
  for (std::string line; std::getline(in, line);) {
    encodings.push_back(tokenizer.Encode(line));
    longest = std::max(longest, encodings.back().ids.size());
  }
  std::vector<TextRow> rows;
  for (const Encoding& e : encodings) rows.push_back({.ids = e.ids});
  return PadRows(device, rows, static_cast<int64_t>(longest), tokenizer.vocabulary().pad());
}

Tensor Plane(const Tensor& tokens, int64_t plane) {
  const int64_t batch = tokens.shape()[0], length = tokens.shape()[2];
  Tensor out = Tensor::Empty(tokens.device(), DType::kI64, {batch, length});
  for (int64_t i = 0; i < batch * length; ++i) {
    out.data<int64_t>()[i] = tokens.data<int64_t>()[(i / length * 3 + plane) * length + i % length];
  }
  return out;
}

absl::Status Run(char** argv) {
  int64_t width = 0, depth = 0, heads = 0;
  if (!absl::SimpleAtoi(argv[3], &width) || !absl::SimpleAtoi(argv[4], &depth) ||
      !absl::SimpleAtoi(argv[5], &heads)) {
    return absl::InvalidArgumentError("width, depth and heads are numbers");
  }
  ASSIGN_OR_RETURN(const amp::Recipe recipe, amp::FindRecipe(argv[6]));
  ASSIGN_OR_RETURN(Vocabulary vocabulary, Vocabulary::Load(argv[2]));
  const WordPieceTokenizer tokenizer(std::move(vocabulary));
  Device device;
  const Tensor tokens = Read(device, tokenizer, argv[7]);
  ASSIGN_OR_RETURN(const std::unique_ptr<nn::Module> model,
                   models::MakeModel({.name = "bert",
                                      .width = width,
                                      .depth = depth,
                                      .heads = heads,
                                      .num_classes = 1,
                                      .text = models::TextShape{.vocabulary = tokenizer.vocabulary().size(),
                                                                .max_length = tokens.shape()[2]}}));
  nn::Initialize(*model, device, Rng(1));
  ASSIGN_OR_RETURN(const PretrainedReport report, LoadPretrainedWeights(argv[1], *model));
  for (const std::string& line : report.Lines(argv[1])) std::printf("%s\n", line.c_str());
  const std::string last = absl::StrCat("bert.encoder.layer.", depth - 1, ".output.LayerNorm");
  Tensor hidden;
  const nn::CastPolicy policy = amp::MakePolicy(recipe);
  nn::Graph graph(
      {.device = &device, .policy = &policy, .gradients = false, .trace = [&](const nn::TraceEvent& event) {
         if (event.module == last && event.tensor == "output") hidden = event.value;
       }});
  model->Forward(graph.Input(tokens));
  return WriteSafetensors(argv[8], {{"input_ids", Plane(tokens, 0)},
                                    {"attention_mask", Plane(tokens, 1)},
                                    {"last_hidden_state", ops::Cast(hidden, DType::kF32)}});
}

}  // namespace
}  // namespace halftone

int main(int argc, char** argv) {
  if (argc != 9) {
    std::fprintf(
        stderr,
        "usage: %s <weights> <vocab.txt> <width> <depth> <heads> <recipe> <input> <output.safetensors>\n",
        argv[0]);
    return 2;
  }
  const absl::Status status = halftone::Run(argv);
  if (!status.ok()) std::fprintf(stderr, "%s\n", std::string(status.message()).c_str());
  return status.ok() ? 0 : 1;
}
