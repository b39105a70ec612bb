// interop_reader <folder> <file>...: reads every array of the files, for testing/interop to compare in
// Python. Array i of a file goes to <folder>/<i>.bin, as little-endian bytes; and a line on the standard
// output says <i> TAB <file> TAB <dtype> TAB <dims, by commas> TAB <C or F> TAB <name>. A file that is
// refused gives the line refused TAB <file> TAB <message>.
#include <cstdio>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/types/span.h"
#include "io/array_file.h"
#include "io/element_type.h"
#include "io/open_array_file.h"

namespace halftone {
namespace {

absl::Status Dump(const ArrayFile& file, size_t index, const std::string& path) {
  std::unique_ptr<std::FILE, int (*)(std::FILE*)> out(std::fopen(path.c_str(), "wb"), &std::fclose);
  if (out == nullptr) return absl::UnavailableError(absl::StrCat("cannot write ", path));
  return file.ReadChunks(index, [&](absl::Span<const char> bytes) {
    const bool wrote = std::fwrite(bytes.data(), 1, bytes.size(), out.get()) == bytes.size();
    return wrote ? absl::OkStatus() : absl::UnavailableError(absl::StrCat("cannot write ", path));
  });
}

absl::Status DumpAll(const std::string& folder, const std::string& path, int* count) {
  const auto file = OpenArrayFile(path);
  if (!file.ok()) return file.status();
  for (size_t i = 0; i < (*file)->arrays().size(); ++i) {
    const FileArray& array = (*file)->arrays()[i];
    const absl::Status dumped = Dump(**file, i, absl::StrCat(folder, "/", *count, ".bin"));
    if (!dumped.ok()) return dumped;
    std::printf("%d\t%s\t%s\t%s\t%c\t%s\n", (*count)++, path.c_str(), std::string(NameOf(array.type)).c_str(),
                absl::StrJoin(array.shape.dims(), ",").c_str(), array.fortran_order ? 'F' : 'C',
                array.name.c_str());
  }
  return absl::OkStatus();
}

}  // namespace
}  // namespace halftone

int main(int argc, char** argv) {
  if (argc < 2) {
    std::fprintf(stderr, "usage: %s <folder> <file>...\n", argv[0]);
    return 2;
  }
  int count = 0;
  for (int i = 2; i < argc; ++i) {
    const absl::Status status = halftone::DumpAll(argv[1], argv[i], &count);
    if (!status.ok()) std::printf("refused\t%s\t%s\n", argv[i], std::string(status.message()).c_str());
  }
  return 0;
}
