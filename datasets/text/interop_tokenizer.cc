// interop_tokenizer <vocab.txt> <lower_case> <strip_accents> <split_cjk> <max_length> <input> <output>:
// tokenizes each line of the input for testing/interop to compare. Options are 0 or 1. A line is a text in
// hexadecimal, or two with a space between; the output's has its ids.
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <string>
#include <string_view>

#include "absl/strings/escaping.h"
#include "absl/strings/str_join.h"
#include "datasets/text/wordpiece.h"

namespace {

int Run(char** argv) {
  auto vocabulary = halftone::Vocabulary::Load(argv[1]);
  if (!vocabulary.ok()) {
    std::fprintf(stderr, "%s\n", vocabulary.status().ToString().c_str());
    return 1;
  }
  const auto is_on = [&](int i) { return std::string_view(argv[i]) == "1"; };
  const halftone::WordPieceTokenizer tokenizer(
      *std::move(vocabulary), {.lower_case = is_on(2), .strip_accents = is_on(3), .split_cjk = is_on(4)});
  const int64_t max_length = std::atoll(argv[5]);
  std::ifstream in(argv[6]);
  std::ofstream out(argv[7]);
  for (std::string line; std::getline(in, line);) {
    const size_t space = line.find(' ');
    const std::string a = absl::HexStringToBytes(line.substr(0, space));
    const halftone::Encoding encoding =
        space == line.npos
            ? tokenizer.Encode(a, max_length)
            : tokenizer.EncodePair(a, absl::HexStringToBytes(line.substr(space + 1)), max_length);
    out << absl::StrJoin(encoding.ids, " ") << "\n";
  }
  return out.good() ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 8) {
    std::fprintf(
        stderr,
        "usage: %s <vocab.txt> <lower_case> <strip_accents> <split_cjk> <max_length> <input> <output>\n",
        argv[0]);
    return 2;
  }
  return Run(argv);
}
