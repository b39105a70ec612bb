// Attention as oneDNN's batched products, on queries, keys and values as they lie, a few batch items at a
// time: their scores stay in the cache between the two products.
#include "tensor/onednn/onednn.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <utility>

#include "base/parallel.h"
#include "fp16/convert.h"
#include "tensor/ops/attention/implementations.h"
#include "tensor/ops/attention/softmax_rows.h"

namespace halftone::ops {
namespace {

using onednn::Desc;

constexpr int64_t kScoreBytes = 1 << 20;  // of the scores that are worked on at a time, about

// Matrices [items, heads, rows, columns] in memory.
struct Matrices {
  void* data;
  int64_t rows, columns;
  std::array<int64_t, 4> strides;  // in elements

  Matrices Transposed() const {
    return {data, columns, rows, {strides[0], strides[1], strides[3], strides[2]}};
  }
};

struct PlanKey {
  DType dtype;
  int64_t items, heads, m, k, n;
  std::array<int64_t, 4> a, b, c;  // strides
  float scale;

  friend bool operator==(const PlanKey& a, const PlanKey& b) = default;
  template <typename H>
  friend H AbslHashValue(H state, const PlanKey& key) {
    return H::combine(std::move(state), key.dtype, key.items, key.heads, key.m, key.k, key.n, key.a, key.b,
                      key.c, key.scale);
  }
};

struct Plan {
  Desc a, b, c;
  onednn::Primitive product;
};

const Plan& PlanFor(Device& device, const PlanKey& key) {
  const dnnl::engine& engine = device.Resource<onednn::Engine>().engine;
  return device.Resource<onednn::PlanCache<PlanKey, Plan>>().Get(key, [&] {
    const auto desc = [&](int64_t rows, int64_t columns, const std::array<int64_t, 4>& strides) {
      return Desc({key.items, key.heads, rows, columns}, onednn::TypeOf(key.dtype),
                  onednn::Dims(strides.begin(), strides.end()));
    };
    Plan plan = {
        .a = desc(key.m, key.k, key.a), .b = desc(key.k, key.n, key.b), .c = desc(key.m, key.n, key.c)};
    plan.product = onednn::MakeScaledMatmul(engine, plan.a, plan.b, plan.c, key.scale);
    return plan;
  });
}

// One pass over the batch: the dtype of its products, and what all of them have in common.
class Pass {
 public:
  Pass(const AttentionProblem& p, Device& device, DType stored)
      : p_(p), device_(device), stored_(stored), computed_(Computes(stored)) {
    const int64_t scores = p.heads * p.length * p.length * static_cast<int64_t>(sizeof(float));
    items_ = std::clamp(kScoreBytes / scores, int64_t{1}, p.batch);
  }

  bool widens() const { return stored_ != computed_; }

  // Calls f(first, items) for consecutive batch items that cover the batch.
  template <typename F>
  void ForItems(const F& f) const {
    for (int64_t first = 0; first < p_.batch; first += items_) f(first, std::min(items_, p_.batch - first));
  }

  // A buffer for the scores of as many batch items as there are at a time, in the dtype of the products.
  Tensor Scores() const {
    return Tensor::Empty(device_, computed_, {items_, p_.heads, p_.length, p_.length});
  }
  // One for their queries, say; undefined where these serve as they lie.
  Tensor Buffer() const {
    return widens() ? Tensor::Empty(device_, computed_, {items_, p_.length, p_.width()}) : Tensor();
  }

  // The heads of batch items [first, first + items): in `buffer` if that is defined, widened; else as they
  // lie.
  Matrices Read(const Columns& c, int64_t first, int64_t items, Tensor& buffer) const {
    if (buffer.defined()) {
      ForBufferedRows(c, first, items, buffer, [&](const auto* narrow, float* wide) {
        Convert(narrow, wide, static_cast<size_t>(p_.width()));
      });
    }
    return Write(c, first, buffer);
  }
  // Where to write them; then Written puts them where they belong.
  Matrices Write(const Columns& c, int64_t first, Tensor& buffer) const {
    const int64_t row = buffer.defined() ? p_.width() : c.tensor.shape()[2];
    char* data = buffer.defined() ? static_cast<char*>(buffer.raw())
                                  : At(c.tensor.raw(), computed_, first * p_.length, row) +
                                        c.first * static_cast<int64_t>(SizeOf(computed_));
    return {data, p_.length, p_.head_width, {p_.length * row, p_.head_width, row, 1}};
  }
  void Written(const Columns& c, int64_t first, int64_t items, Tensor& buffer) const {
    if (!buffer.defined()) return;
    ForBufferedRows(c, first, items, buffer, [&](auto* narrow, const float* wide) {
      Convert(wide, narrow, static_cast<size_t>(p_.width()));
    });
  }

  Matrices Square(void* data) const {
    const int64_t n = p_.length;
    return {data, n, n, {p_.heads * n * n, n * n, n, 1}};
  }

  void Multiply(const Matrices& a, const Matrices& b, const Matrices& c, int64_t items,
                double scale = 1) const {
    const Plan& plan = PlanFor(device_, {.dtype = computed_,
                                         .items = items,
                                         .heads = p_.heads,
                                         .m = c.rows,
                                         .k = a.columns,
                                         .n = c.columns,
                                         .a = a.strides,
                                         .b = b.strides,
                                         .c = c.strides,
                                         .scale = static_cast<float>(scale)});
    onednn::Execute(
        device_, plan.product,
        {{DNNL_ARG_SRC, plan.a, a.data}, {DNNL_ARG_WEIGHTS, plan.b, b.data}, {DNNL_ARG_DST, plan.c, c.data}});
  }

  // Calls f(rows, item, row) for the rows of each head, from several threads; `row` is the first of them,
  // counted from the first of these items.
  template <typename F>
  void ForHeads(int64_t items, const F& f) const {
    const auto n = static_cast<size_t>(p_.length);
    ParallelFor(static_cast<size_t>(items * p_.heads), 1, [&](size_t begin, size_t end) {
      for (auto head = static_cast<int64_t>(begin); head < static_cast<int64_t>(end); ++head) {
        f(SoftmaxRows{stored_, computed_, n, n}, head / p_.heads, head * p_.length);
      }
    });
  }

  // Row `row`, of n numbers each.
  static char* At(const void* data, DType dtype, int64_t row, int64_t n) {
    return static_cast<char*>(const_cast<void*>(data)) + row * n * static_cast<int64_t>(SizeOf(dtype));
  }

  DType stored() const { return stored_; }
  DType computed() const { return computed_; }

 private:
  static DType Computes(DType stored) {
    return stored == DType::kBF16 && onednn::HasFastBFloat16() ? DType::kBF16 : DType::kF32;
  }

  // Calls f(narrow, wide) for the rows of batch items [first, first + items): where the columns lie, and in
  // the buffer.
  template <typename F>
  void ForBufferedRows(const Columns& c, int64_t first, int64_t items, Tensor& buffer, const F& f) const {
    const auto each = [&](auto type) {
      using T = decltype(type);
      const int64_t row = c.tensor.shape()[2];
      T* narrow = const_cast<T*>(c.tensor.data<T>()) + first * p_.length * row + c.first;
      float* wide = buffer.data<float>();
      ParallelFor(static_cast<size_t>(items * p_.length), 64, [&](size_t begin, size_t end) {
        for (auto r = static_cast<int64_t>(begin); r < static_cast<int64_t>(end); ++r) {
          f(narrow + r * row, wide + r * p_.width());
        }
      });
    };
    stored_ == DType::kF16 ? each(half()) : each(bfloat16());
  }

  const AttentionProblem& p_;
  Device& device_;
  DType stored_, computed_;
  int64_t items_;
};

void Say(const Pass& pass, Device& device) {
  if (!pass.widens()) return;
  device.SayOnce(
      pass.stored() == DType::kF16
          ? "float16 attention: 16-bit storage, float32 arithmetic (this CPU has no fast float16)"
          : "bfloat16 attention: 16-bit storage, float32 arithmetic (this CPU has no fast bfloat16)");
}

void Forward(const AttentionProblem& p, const Columns& q, const Columns& k, const Columns& v,
             const Tensor& mask, Tensor* y, Tensor* probabilities) {
  Device& device = q.tensor.device();
  const Pass pass(p, device, y->dtype());
  Say(pass, device);
  const Columns out = {*y};
  Tensor wide_q = pass.Buffer(), wide_k = pass.Buffer(), wide_v = pass.Buffer(), wide_y = pass.Buffer();
  // What the second product takes, where that is not the probabilities themselves; before that, the scores.
  Tensor buffer = pass.widens() || p.dropout > 0 ? pass.Scores() : Tensor();
  const int64_t n = p.length;
  const int64_t* keys = mask.defined() ? mask.data<int64_t>() : nullptr;
  pass.ForItems([&](int64_t first, int64_t items) {
    const int64_t first_row = first * p.heads * n;
    char* stored = Pass::At(probabilities->raw(), pass.stored(), first_row, n);
    void* scores = buffer.defined() ? buffer.raw() : stored;
    pass.Multiply(pass.Read(q, first, items, wide_q), pass.Read(k, first, items, wide_k).Transposed(),
                  pass.Square(scores), items, p.scale());
    pass.ForHeads(items, [&](const SoftmaxRows& rows, int64_t item, int64_t row) {
      void* to = Pass::At(stored, pass.stored(), row, n);
      void* from = Pass::At(scores, pass.computed(), row, n);
      ForwardSoftmaxRows(rows, from, keys != nullptr ? keys + (first + item) * n : nullptr, to);
      if (buffer.defined()) DropoutRows(rows, to, p.dropout, p.stream, (first_row + row) * n, from);
    });
    pass.Multiply(pass.Square(scores), pass.Read(v, first, items, wide_v), pass.Write(out, first, wide_y),
                  items);
    pass.Written(out, first, items, wide_y);
  });
}

void Backward(const AttentionProblem& p, const Columns& q, const Columns& k, const Columns& v,
              const Tensor& probabilities, const Tensor& dy, Columns* dq, Columns* dk, Columns* dv) {
  Device& device = q.tensor.device();
  const Pass pass(p, device, dy.dtype());
  const Columns out = {dy};
  Tensor wide_q = pass.Buffer(), wide_k = pass.Buffer(), wide_v = pass.Buffer(), wide_dy = pass.Buffer();
  Tensor wide_dq = pass.Buffer(), wide_dk = pass.Buffer(), wide_dv = pass.Buffer();
  Tensor gradient = pass.Scores();
  Tensor kept = pass.widens() || p.dropout > 0 ? pass.Scores() : Tensor();
  const int64_t n = p.length;
  pass.ForItems([&](int64_t first, int64_t items) {
    const int64_t first_row = first * p.heads * n;
    const char* stored = Pass::At(probabilities.raw(), pass.stored(), first_row, n);
    const auto index = [&](int64_t row) { return static_cast<uint64_t>((first_row + row) * n); };
    void *to_kept = kept.raw(), *to_gradient = gradient.raw();
    if (kept.defined()) {
      pass.ForHeads(items, [&](const SoftmaxRows& rows, int64_t, int64_t row) {
        DropoutRows(rows, Pass::At(stored, pass.stored(), row, n), p.dropout, p.stream, index(row),
                    Pass::At(to_kept, pass.computed(), row, n));
      });
    }
    const Matrices factors = pass.Square(kept.defined() ? kept.raw() : const_cast<char*>(stored));
    const Matrices dys = pass.Read(out, first, items, wide_dy), gradients = pass.Square(gradient.raw());
    pass.Multiply(factors.Transposed(), dys, pass.Write(*dv, first, wide_dv), items);
    pass.Written(*dv, first, items, wide_dv);
    pass.Multiply(dys, pass.Read(v, first, items, wide_v).Transposed(), gradients, items);
    pass.ForHeads(items, [&](const SoftmaxRows& rows, int64_t, int64_t row) {
      BackwardSoftmaxRows(rows, Pass::At(stored, pass.stored(), row, n), p.dropout, p.stream, index(row),
                          Pass::At(to_gradient, pass.computed(), row, n));
    });
    pass.Multiply(gradients, pass.Read(k, first, items, wide_k), pass.Write(*dq, first, wide_dq), items,
                  p.scale());
    pass.Written(*dq, first, items, wide_dq);
    pass.Multiply(gradients.Transposed(), pass.Read(q, first, items, wide_q), pass.Write(*dk, first, wide_dk),
                  items, p.scale());
    pass.Written(*dk, first, items, wide_dk);
  });
}

}  // namespace

const AttentionImplementation kAttentionOneDnn = {
    .name = "onednn",
    .supports = [](DType dtype) { return dtype != DType::kF64; },
    .forward = Forward,
    .backward = Backward};

}  // namespace halftone::ops
