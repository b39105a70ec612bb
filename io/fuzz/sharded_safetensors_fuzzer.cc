// The index of two files that are always there: 1.safetensors holds a and b, 2.safetensors holds c.
#include <cstddef>
#include <cstdint>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "base/check.h"
#include "base/file.h"
#include "io/fuzz/check_array_file.h"

namespace {

class Index : public halftone::FuzzFile {
 public:
  Index() : FuzzFile("x") {
    constexpr absl::string_view kA = R"("a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]})";
    constexpr absl::string_view kB = R"("b":{"dtype":"BF16","shape":[],"data_offsets":[2,4]})";
    constexpr absl::string_view kC = R"("c":{"dtype":"BOOL","shape":[1,1],"data_offsets":[0,1]})";
    AddShard("1.safetensors", absl::StrCat("{", kA, ",", kB, "}"), "abcd");
    AddShard("2.safetensors", absl::StrCat("{", kC, R"(,"__metadata__":{"k":"v"}})"), "e");
  }

 private:
  void AddShard(absl::string_view name, absl::string_view header, absl::string_view data) {
    std::string length(8, '\0');
    length[0] = static_cast<char>(header.size());  // below 128
    const std::string path = absl::StrCat(folder(), "/", name);
    HALFTONE_CHECK(halftone::WriteFileAtomically(path, absl::StrCat(length, header, data)).ok());
  }
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static Index file;
  file.Write(absl::string_view(reinterpret_cast<const char*>(data), size));
  halftone::CheckArrayFile(file, {.format = "safetensors-index"});
  return 0;
}
