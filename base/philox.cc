#include "base/philox.h"

#include <algorithm>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "base/philox.cc"
#include "hwy/foreach_target.h"  // must come before highway.h
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace halftone {
namespace HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

// The numbers of `blocks` consecutive blocks, from the counter {low, high, c2, c3} on, whose first two words
// count. A lane has 64 bits, of which the lower half is a word of the state; what the upper half holds,
// nobody reads.
//
// As many blocks as there are lanes at once, and fewer than that not at all: returns how many were done.
size_t FillBlocks(uint64_t first_block, uint32_t c2, uint32_t c3, uint32_t key0, uint32_t key1,
                  uint32_t* bits, size_t blocks) {
#if HWY_TARGET == HWY_SCALAR
  for (size_t block = 0; block < blocks; ++block) {
    const uint64_t counter = first_block + block;
    const PhiloxBlock words = Philox4x32(
        {static_cast<uint32_t>(counter), static_cast<uint32_t>(counter >> 32), c2, c3}, key0, key1);
    std::copy(words.begin(), words.end(), bits + 4 * block);
  }
  return blocks;
#else
  const hn::ScalableTag<uint64_t> d;
  const hn::Repartition<uint32_t, decltype(d)> d32;
  const size_t lanes = hn::Lanes(d);
  const auto multiply = [&](auto a, uint32_t b)
                            HWY_ATTR { return hn::MulEven(hn::BitCast(d32, a), hn::Set(d32, b)); };
  size_t block = 0;
  for (; block + lanes <= blocks; block += lanes) {
    const auto counter = hn::Add(hn::Set(d, first_block + block), hn::Iota(d, 0));
    auto w0 = counter, w1 = hn::ShiftRight<32>(counter);
    auto w2 = hn::Set(d, uint64_t{c2}), w3 = hn::Set(d, uint64_t{c3});
    uint32_t k0 = key0, k1 = key1;
    for (int round = 0; round < 10; ++round) {
      const auto p0 = multiply(w0, 0xD2511F53u), p1 = multiply(w2, 0xCD9E8D57u);
      w0 = hn::Xor(hn::Xor(hn::ShiftRight<32>(p1), w1), hn::Set(d, uint64_t{k0}));
      w2 = hn::Xor(hn::Xor(hn::ShiftRight<32>(p0), w3), hn::Set(d, uint64_t{k1}));
      w1 = p1;
      w3 = p0;
      k0 += 0x9E3779B9u;
      k1 += 0xBB67AE85u;
    }
    const auto low = hn::Set(d, uint64_t{0xFFFFFFFFu});
    const auto words01 = hn::Or(hn::And(w0, low), hn::ShiftLeft<32>(w1));
    const auto words23 = hn::Or(hn::And(w2, low), hn::ShiftLeft<32>(w3));
    hn::StoreInterleaved2(words01, words23, d, reinterpret_cast<uint64_t*>(bits + 4 * block));
  }
  return block;
#endif
}

}  // namespace HWY_NAMESPACE
}  // namespace halftone
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace halftone {
namespace {

HWY_EXPORT(FillBlocks);

}  // namespace

void Rng::Fill(uint64_t first, uint32_t* bits, size_t n) const {
  size_t i = 0;
  for (; i < n && (first + i) % 4 != 0; ++i) bits[i] = Bits(first + i);
  const auto key0 = static_cast<uint32_t>(seed_), key1 = static_cast<uint32_t>(seed_ >> 32);
  i += 4 *
       HWY_DYNAMIC_DISPATCH(FillBlocks)((first + i) / 4, step_, stream_, key0, key1, bits + i, (n - i) / 4);
  while (i < n) {
    const PhiloxBlock block = Block((first + i) / 4);
    const size_t count = std::min(n - i, block.size());
    std::copy_n(block.begin(), count, bits + i);
    i += count;
  }
}

}  // namespace halftone
#endif  // HWY_ONCE
