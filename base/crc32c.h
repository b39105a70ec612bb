// CRC-32C (Castagnoli), as in RFC 3720, appendix B.4: the checksum of TFRecord files.
#ifndef HALFTONE_BASE_CRC32C_H_
#define HALFTONE_BASE_CRC32C_H_

#include <array>
#include <cstdint>
#include <string_view>

namespace halftone {
namespace crc32c_internal {

inline constexpr std::array<uint32_t, 256> kTable = [] {
  constexpr uint32_t kPolynomial = 0x82f63b78;  // reflected
  std::array<uint32_t, 256> table = {};
  for (uint32_t i = 0; i < 256; ++i) {
    table[i] = i;
    for (int bit = 0; bit < 8; ++bit) table[i] = table[i] >> 1 ^ (table[i] & 1 ? kPolynomial : 0);
  }
  return table;
}();

}  // namespace crc32c_internal

constexpr uint32_t Crc32c(std::string_view bytes) {
  uint32_t crc = 0xffffffff;
  for (const char c : bytes) crc = crc32c_internal::kTable[(crc ^ static_cast<uint8_t>(c)) & 0xff] ^ crc >> 8;
  return ~crc;
}

static_assert(Crc32c("123456789") == 0xe3069283);

}  // namespace halftone

#endif  // HALFTONE_BASE_CRC32C_H_
