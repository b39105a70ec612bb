#include <cstddef>
#include <cstdint>

#include "base/check.h"
#include "datasets/text/sst2.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const absl::string_view bytes(reinterpret_cast<const char*>(data), size);
  const auto examples = halftone::ParseSst2(bytes, "train.tsv");
  if (!examples.ok()) {
    HALFTONE_CHECK(examples.status().message().find('\n') == absl::string_view::npos);
    return 0;
  }
  HALFTONE_CHECK(!examples->empty());
  for (const halftone::LabelledSentence& example : *examples) {
    HALFTONE_CHECK(example.label == 0 || example.label == 1);
    HALFTONE_CHECK(!example.sentence.empty() && example.sentence.find('\n') == absl::string_view::npos);
    HALFTONE_CHECK(example.sentence.data() >= bytes.data() &&
                   example.sentence.data() + example.sentence.size() <= bytes.data() + bytes.size());
  }
  return 0;
}
