#include <cstddef>
#include <cstdint>
#include <utility>

#include "base/check.h"
#include "datasets/text/vocabulary.h"
#include "datasets/text/wordpiece.h"

// A vocabulary, which then tokenizes its own file.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const absl::string_view bytes(reinterpret_cast<const char*>(data), size);
  auto vocabulary = halftone::Vocabulary::Parse(bytes, "vocab.txt");
  if (!vocabulary.ok()) {
    HALFTONE_CHECK(vocabulary.status().message().find('\n') == absl::string_view::npos);
    return 0;
  }
  for (int32_t id = 0; id < vocabulary->size(); ++id) {
    const absl::string_view token = vocabulary->token(id);
    HALFTONE_CHECK(!token.empty() && vocabulary->Find(token) == id);
  }
  const int32_t tokens = vocabulary->size();
  const halftone::WordPieceTokenizer tokenizer(*std::move(vocabulary));
  for (const int32_t id : tokenizer.Encode(bytes).ids) HALFTONE_CHECK(id >= 0 && id < tokens);
  return 0;
}
