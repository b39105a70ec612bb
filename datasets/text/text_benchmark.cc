// Sentences and bytes a second, one thread. HALFTONE_SST2 names a folder of train.tsv and dev.tsv,
// HALFTONE_VOCABULARY a vocab.txt; without them, the small ones of the tests.
#include <cstdlib>
#include <string>
#include <vector>

#include "base/file.h"
#include "benchmark/benchmark.h"
#include "datasets/text/sst2.h"
#include "datasets/text/text_loader.h"
#include "datasets/text/wordpiece.h"

namespace halftone {
namespace {

std::string FromEnvironment(const char* name, const char* otherwise) {
  const char* value = std::getenv(name);
  return value == nullptr ? ResolveInputPath(otherwise) : value;
}

std::string Root() { return FromEnvironment("HALFTONE_SST2", "datasets/text/testdata/sst2"); }

WordPieceTokenizer Tokenizer() {
  return WordPieceTokenizer(
      Vocabulary::Load(FromEnvironment("HALFTONE_VOCABULARY", "datasets/text/testdata/vocab.txt")).value());
}

void TokenizeSst2(benchmark::State& state) {
  const WordPieceTokenizer tokenizer = Tokenizer();
  const std::string file = ReadFile(Root() + "/train.tsv").value();
  const auto examples = ParseSst2(file, "train.tsv").value();
  int64_t bytes = 0, tokens = 0;
  for (auto _ : state) {
    for (const LabelledSentence& example : examples) {
      const Encoding encoding = tokenizer.Encode(example.sentence, 128);
      tokens += std::ssize(encoding.ids);
      bytes += static_cast<int64_t>(example.sentence.size());
    }
  }
  state.SetItemsProcessed(state.iterations() * std::ssize(examples));
  state.SetBytesProcessed(bytes);
  state.counters["tokens_per_sentence"] =
      static_cast<double>(tokens) / static_cast<double>(state.iterations() * std::ssize(examples));
}
BENCHMARK(TokenizeSst2)->Unit(benchmark::kMillisecond);

void LoadVocabulary(benchmark::State& state) {
  for (auto _ : state) benchmark::DoNotOptimize(Tokenizer());
}
BENCHMARK(LoadVocabulary)->Unit(benchmark::kMillisecond);

// bucket_batches, length_multiple
void NextBatch(benchmark::State& state) {
  Device device;
  const TextDataset data = LoadSst2(Root(), Tokenizer(), 128).value();
  const auto loader = TextLoader::Create(device, data, data.train,
                                         {.batch_size = 32,
                                          .shuffle = true,
                                          .drop_last = true,
                                          .bucket_batches = state.range(0),
                                          .length_multiple = state.range(1)})
                          .value();
  state.counters["padding"] = loader->PaddingShare();
  for (auto _ : state) benchmark::DoNotOptimize(loader->Next());
  state.SetItemsProcessed(state.iterations() * 32);
}
BENCHMARK(NextBatch)->Args({1, 1})->Args({10, 1})->Args({50, 1})->Args({50, 8})->Args({1000, 1});

}  // namespace
}  // namespace halftone
