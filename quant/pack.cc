#include "quant/pack.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "base/check.h"
#include "base/parallel.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "quant/pack.cc"
#include "hwy/foreach_target.h"  // must come before highway.h
#include "hwy/highway.h"

#ifndef HALFTONE_QUANT_PACK_ONCE
#define HALFTONE_QUANT_PACK_ONCE

namespace halftone::pack_internal {

static_assert(std::endian::native == std::endian::little, "groups are loaded as they lie in memory");

// Eight codes are a group: 64 bits with a code a byte, and `bits` bytes packed. In three steps neighbours
// come together: bytes in 16 bits, those in 32, those in 64. In vectors below the same steps are done.
constexpr size_t kGroup = 8;

// The lower `kept` of every `width` bits.
constexpr uint64_t Lower(int kept, int width) {
  uint64_t mask = 0;
  for (int at = 0; at < 64; at += width) mask |= ((uint64_t{1} << kept) - 1) << at;
  return mask;
}

// Of every 2 * width bits the lower half has `kept` that stay, and the upper half as many that go down to
// them, or come back.
struct Step {
  constexpr Step(int kept, int width)
      : shift(width - kept), lower(Lower(kept, 2 * width)), upper(lower << kept), apart(lower << width) {}

  constexpr uint64_t Together(uint64_t x) const { return (x & lower) | ((x >> shift) & upper); }
  constexpr uint64_t Apart(uint64_t x) const { return (x & lower) | ((x << shift) & apart); }

  int shift;
  uint64_t lower, upper, apart;
};

// For fewer than 8 bits.
struct Steps {
  constexpr explicit Steps(int bits)
      : bits(bits), first(bits, 8), second(2 * bits, 16), third(4 * bits, 32) {}

  constexpr uint64_t Pack(uint64_t codes) const {
    return third.Together(second.Together(first.Together(codes)));
  }
  constexpr uint64_t Unpack(uint64_t packed) const { return first.Apart(second.Apart(third.Apart(packed))); }

  int bits;
  Step first, second, third;
};

inline void PackGroups(const Steps& steps, const uint8_t* codes, size_t n, uint8_t* packed) {
  for (size_t i = 0; i < n; i += kGroup) {
    const size_t here = std::min(kGroup, n - i);
    uint64_t group = 0;
    std::memcpy(&group, codes + i, here);
    group = steps.Pack(group);
    std::memcpy(packed, &group, PackedBytes(steps.bits, here));
    packed += steps.bits;
  }
}

inline void UnpackGroups(const Steps& steps, const uint8_t* packed, uint8_t* codes, size_t n) {
  for (size_t i = 0; i < n; i += kGroup) {
    const size_t here = std::min(kGroup, n - i);
    uint64_t group = 0;
    std::memcpy(&group, packed, PackedBytes(steps.bits, here));
    group = steps.Unpack(group);
    std::memcpy(codes + i, &group, here);
    packed += steps.bits;
  }
}

}  // namespace halftone::pack_internal

#endif  // HALFTONE_QUANT_PACK_ONCE

HWY_BEFORE_NAMESPACE();
namespace halftone {
namespace HWY_NAMESPACE {
namespace {

namespace hn = hwy::HWY_NAMESPACE;
using pack_internal::PackGroups;
using pack_internal::Step;
using pack_internal::Steps;
using pack_internal::UnpackGroups;

#if HWY_TARGET == HWY_SCALAR  // no vectors

void PackAny(const Steps& steps, const uint8_t* codes, size_t n, uint8_t* packed) {
  PackGroups(steps, codes, n, packed);
}
void UnpackAny(const Steps& steps, const uint8_t* packed, uint8_t* codes, size_t n) {
  UnpackGroups(steps, packed, codes, n);
}

#else  // HWY_TARGET != HWY_SCALAR

// Two groups, whose `bits` bytes each are moved to and from where they lie packed by a table.
constexpr size_t kBytes = 16;
using Bytes = hn::FixedTag<uint8_t, kBytes>;
using Groups = hn::Repartition<uint64_t, Bytes>;

HWY_INLINE hn::Vec<Groups> Together(const Step& step, hn::Vec<Groups> x) {
  const Groups d;
  return hn::Or(hn::And(x, hn::Set(d, step.lower)),
                hn::And(hn::ShiftRightSame(x, step.shift), hn::Set(d, step.upper)));
}

HWY_INLINE hn::Vec<Groups> Apart(const Step& step, hn::Vec<Groups> x) {
  const Groups d;
  return hn::Or(hn::And(x, hn::Set(d, step.lower)),
                hn::And(hn::ShiftLeftSame(x, step.shift), hn::Set(d, step.apart)));
}

void PackAny(const Steps& steps, const uint8_t* codes, size_t n, uint8_t* packed) {
  const Bytes d;
  const size_t two_groups = 2 * static_cast<size_t>(steps.bits);
  alignas(kBytes) uint8_t from[kBytes];
  for (size_t i = 0; i < kBytes; ++i) {
    const size_t group = i / static_cast<size_t>(steps.bits), byte = i % static_cast<size_t>(steps.bits);
    from[i] = static_cast<uint8_t>(i < two_groups ? 8 * group + byte : 0x80);
  }
  const auto table = hn::Load(d, from);
  const uint8_t* const end = packed + PackedBytes(steps.bits, n);
  // Writes 16 bytes, of which the next time writes all but two_groups again.
  size_t i = 0;
  for (; i + kBytes <= n && packed + kBytes <= end; i += kBytes, packed += two_groups) {
    auto x = hn::BitCast(Groups(), hn::LoadU(d, codes + i));
    x = Together(steps.third, Together(steps.second, Together(steps.first, x)));
    hn::StoreU(hn::TableLookupBytesOr0(hn::BitCast(d, x), table), d, packed);
  }
  PackGroups(steps, codes + i, n - i, packed);
}

void UnpackAny(const Steps& steps, const uint8_t* packed, uint8_t* codes, size_t n) {
  const Bytes d;
  const size_t bits = static_cast<size_t>(steps.bits);
  alignas(kBytes) uint8_t from[kBytes];
  for (size_t i = 0; i < kBytes; ++i) {
    from[i] = static_cast<uint8_t>(i % 8 < bits ? i / 8 * bits + i % 8 : 0x80);
  }
  const auto table = hn::Load(d, from);
  const uint8_t* const end = packed + PackedBytes(steps.bits, n);
  size_t i = 0;
  for (; i + kBytes <= n && packed + kBytes <= end; i += kBytes, packed += 2 * bits) {
    auto x = hn::BitCast(Groups(), hn::TableLookupBytesOr0(hn::LoadU(d, packed), table));
    x = Apart(steps.first, Apart(steps.second, Apart(steps.third, x)));
    hn::StoreU(hn::BitCast(d, x), d, codes + i);
  }
  UnpackGroups(steps, packed, codes + i, n - i);
}

#endif  // HWY_TARGET != HWY_SCALAR

}  // namespace

void Pack(const Steps& steps, const uint8_t* codes, size_t n, uint8_t* packed) {
  PackAny(steps, codes, n, packed);
}
void Unpack(const Steps& steps, const uint8_t* packed, uint8_t* codes, size_t n) {
  UnpackAny(steps, packed, codes, n);
}

}  // namespace HWY_NAMESPACE
}  // namespace halftone
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace halftone {

HWY_EXPORT(Pack);
HWY_EXPORT(Unpack);

namespace {

// Codes that a thread takes at least; whole groups.
constexpr size_t kGrain = size_t{1} << 16;

}  // namespace

void PackBits(int bits, absl::Span<const uint8_t> codes, absl::Span<uint8_t> packed) {
  HALFTONE_CHECK(bits >= 1 && bits <= 8);
  HALFTONE_CHECK(packed.size() == PackedBytes(bits, codes.size()));
  ParallelFor(codes.size(), kGrain, [&](size_t begin, size_t end) {
    uint8_t* const to = packed.data() + PackedBytes(bits, begin);
    if (bits == 8) {
      std::memcpy(to, codes.data() + begin, end - begin);
    } else {
      HWY_DYNAMIC_DISPATCH(Pack)(pack_internal::Steps(bits), codes.data() + begin, end - begin, to);
    }
  });
}

void UnpackBits(int bits, absl::Span<const uint8_t> packed, absl::Span<uint8_t> codes) {
  HALFTONE_CHECK(bits >= 1 && bits <= 8);
  HALFTONE_CHECK(packed.size() == PackedBytes(bits, codes.size()));
  ParallelFor(codes.size(), kGrain, [&](size_t begin, size_t end) {
    const uint8_t* const from = packed.data() + PackedBytes(bits, begin);
    if (bits == 8) {
      std::memcpy(codes.data() + begin, from, end - begin);
    } else {
      HWY_DYNAMIC_DISPATCH(Unpack)(pack_internal::Steps(bits), from, codes.data() + begin, end - begin);
    }
  });
}

}  // namespace halftone
#endif  // HWY_ONCE
