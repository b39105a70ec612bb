#include "testing/simt_libraries.h"

#include <cstring>

#include "tensor/cuda/simt/simt.h"
#include "tensor/ops/attention/attention_kernels.h"
#include "tensor/ops/conv2d/conv2d_kernels.h"
#include "tensor/ops/conv2d/implementations.h"
#include "tensor/ops/linear/float8_kernels.h"
#include "tensor/ops/linear/float8_product.h"
#include "tensor/ops/linear/implementations.h"
#include "tensor/ops/linear/linear_kernels.h"

namespace halftone {
namespace {

template <typename Rows, typename What>
const auto& Choose(const Rows& rows, const What& what) {
  const auto* row = rows.data();
  while (!row->supports(what)) ++row;
  return *row;
}

const auto& HostAttention(DType dtype) { return Choose(ops::AttentionImplementations(), dtype); }

// The host's implementations work on the host's own tensors: what they allocate when the device comes to it
// could be memory that is free again for the host and still in use by the device.
Tensor OnHost(const Tensor& t) { return t.defined() ? t.To(t.device().host()) : t; }
ops::Columns OnHost(const ops::Columns& c) { return {OnHost(c.tensor), c.first}; }
void Return(const Tensor& from, Tensor to) {
  if (to.defined()) std::memcpy(to.raw(), from.raw(), to.bytes());
}

// Handles are captured: what is to be read and written is there when the device comes to it.
template <typename Problem, auto kRows>
struct Layers {
  static void Forward(const Problem& p, const Tensor& x, const Tensor& w, const Tensor& bias, Tensor& y) {
    simt::Of(y.device()).Later([=] {
      Tensor to = OnHost(y);
      Choose(kRows(), p).forward(p, OnHost(x), OnHost(w), OnHost(bias), &to);
      Return(to, y);
    });
  }
  static void BackwardData(const Problem& p, const Tensor& dy, const Tensor& w, Tensor& dx) {
    simt::Of(dx.device()).Later([=] {
      Tensor to = OnHost(dx);
      Choose(kRows(), p).backward_data(p, OnHost(dy), OnHost(w), &to);
      Return(to, dx);
    });
  }
  static void BackwardWeights(const Problem& p, const Tensor& x, const Tensor& dy,
                              ops::WeightGradients& grads) {
    simt::Of(x.device()).Later([=] {
      ops::WeightGradients to = {.dw = OnHost(grads.dw), .db = OnHost(grads.db)};
      Choose(kRows(), p).backward_weights(p, OnHost(x), OnHost(dy), &to);
      Return(to.dw, grads.dw);
      Return(to.db, grads.db);
    });
  }
};

using Conv2d = Layers<ops::Conv2dProblem, ops::Conv2dImplementations>;
constexpr ops::Conv2dKernels kConv2d = {.forward = Conv2d::Forward,
                                        .backward_data = Conv2d::BackwardData,
                                        .backward_weights = Conv2d::BackwardWeights};

using Linear = Layers<ops::LinearProblem, ops::LinearImplementations>;
constexpr ops::LinearKernels kLinear = {.forward = Linear::Forward,
                                        .backward_data = Linear::BackwardData,
                                        .backward_weights = Linear::BackwardWeights};

// c = scale_a scale_b a b^T, sums in double.
bool MultiplyFloat8(const ops::Float8Product& p, Tensor& c) {
  simt::Of(c.device()).Later([=, to = c]() mutable {
    const auto value = [](const FloatFormat& format, const Tensor& codes, int64_t i) {
      return Decode(format, codes.data<uint8_t>()[i]);
    };
    const Tensor a = OnHost(p.a), b = OnHost(p.b);
    const double scale =
        static_cast<double>(OnHost(p.scale_a).data<float>()[0]) * OnHost(p.scale_b).data<float>()[0];
    for (int64_t i = 0; i < p.m; ++i) {
      for (int64_t j = 0; j < p.n; ++j) {
        double sum = 0;
        for (int64_t t = 0; t < p.k; ++t)
          sum += value(p.format_a, a, i * p.k + t) * value(p.format_b, b, j * p.k + t);
        to.data<float>()[i * p.n + j] = static_cast<float>(scale * sum);
      }
    }
  });
  return true;
}
constexpr ops::Float8LinearKernels kFloat8Linear = ops::Float8LinearKernelsBy<MultiplyFloat8>();

constexpr ops::AttentionKernels kAttention = {
    .forward =
        [](const ops::AttentionProblem& p, const ops::Columns& q, const ops::Columns& k,
           const ops::Columns& v, const Tensor& mask, Tensor& y, Tensor& probabilities) {
          simt::Of(y.device()).Later([=] {
            Tensor to_y = OnHost(y), to_p = OnHost(probabilities);
            HostAttention(y.dtype()).forward(p, OnHost(q), OnHost(k), OnHost(v), OnHost(mask), &to_y, &to_p);
            Return(to_y, y);
            Return(to_p, probabilities);
          });
        },
    .backward =
        [](const ops::AttentionProblem& p, const ops::Columns& q, const ops::Columns& k,
           const ops::Columns& v, const Tensor& probabilities, const Tensor& dy, ops::Columns& dq,
           ops::Columns& dk, ops::Columns& dv) {
          simt::Of(dy.device()).Later([=] {
            // They may be columns of one tensor.
            ops::Columns all[] = {OnHost(dq), OnHost(dk), OnHost(dv)};
            const ops::Columns* to[] = {&dq, &dk, &dv};
            if (dk.tensor.device_raw() == dq.tensor.device_raw()) all[1].tensor = all[0].tensor;
            if (dv.tensor.device_raw() == dq.tensor.device_raw()) all[2].tensor = all[0].tensor;
            HostAttention(dy.dtype())
                .backward(p, OnHost(q), OnHost(k), OnHost(v), OnHost(probabilities), OnHost(dy), &all[0],
                          &all[1], &all[2]);
            for (int i = 0; i < 3; ++i) Return(all[i].tensor, to[i]->tensor);
          });
        },
};

}  // namespace

void InstallSimtLibraries(Device& device) {
  device.Install(kAttention);
  device.Install(kConv2d);
  device.Install(kLinear);
  device.Install(kFloat8Linear);
}

}  // namespace halftone
