#include "io/test_files.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>

#include "absl/strings/str_cat.h"
#include "base/check.h"

namespace halftone {
namespace {

template <typename T>
void FillPattern(Tensor& t, double step, double first) {
  for (int64_t i = 0; i < t.elements(); ++i) {
    t.data<T>()[i] = static_cast<T>(static_cast<double>(i) * step + first);
  }
}

}  // namespace

std::string TempPath(absl::string_view name) {
  const char* directory = std::getenv("TEST_TMPDIR");
  return absl::StrCat(directory == nullptr ? "." : directory, "/", name);
}

std::string TempFile(absl::string_view name, absl::string_view bytes) {
  const std::string path = TempPath(name);
  // A new file each time: to truncate one and fill it again makes some file systems wait for the disk.
  std::filesystem::remove(path);
  std::ofstream file(path, std::ios::binary | std::ios::trunc);
  file.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  file.close();
  HALFTONE_CHECK(file.good());
  return path;
}

std::string LittleEndian(uint64_t value, int n) {
  std::string bytes;
  for (int i = 0; i < n; ++i) bytes += static_cast<char>(value >> (8 * i));
  return bytes;
}

Tensor Pattern(Device& device, DType dtype, Shape shape) {
  Tensor t = Tensor::Empty(device, dtype, std::move(shape));
  switch (dtype) {
    case DType::kI64:
      FillPattern<int64_t>(t, 3, -2);
      break;
    case DType::kI32:
      FillPattern<int32_t>(t, 3, -2);
      break;
    case DType::kU8:
      FillPattern<uint8_t>(t, 3, 0);
      break;
    default:
      VisitFloat(dtype, [&](auto zero) { FillPattern<decltype(zero)>(t, 0.5, -2); });
  }
  return t;
}

bool SameTensor(const Tensor& a, const Tensor& b) {
  return a.dtype() == b.dtype() && a.shape() == b.shape() && std::memcmp(a.raw(), b.raw(), a.bytes()) == 0;
}

std::vector<std::string> SharedFiles(absl::string_view extension) {
  const char* shared = std::getenv("HALFTONE_SHARED");
  std::vector<std::string> paths;
  if (shared == nullptr) return paths;
  for (const auto& entry :
       std::filesystem::recursive_directory_iterator(absl::StrCat(shared, "/reference"))) {
    const std::string path = entry.path().string();
    if (entry.path().extension() == std::string(extension)) paths.push_back(path);
  }
  std::sort(paths.begin(), paths.end());
  return paths;
}

}  // namespace halftone
