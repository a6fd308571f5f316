// Packs the weights of a convolution at the start of each run.
#include <algorithm>
#include <cstring>

#include "cpu/kernels/training/convolution_geometry.hpp"

namespace hone::cpu::training {
namespace {

uint16_t bits(float f) {
  return bfloat16(f).bits;
}
uint16_t bits(bfloat16 f) {
  return f.bits;
}

/// Units [first, last) of one output channel, `step` floats apart.
template <class T>
void copy_lane(const ConvolutionTables& t, const T* w, float* to, int64_t first, int64_t last, int64_t step) {
  for (int64_t k = first; k < last; ++k) {
    const int32_t a = t.first_element[static_cast<size_t>(k)], b = t.second_element[static_cast<size_t>(k)];
    if (t.conv.rows.pairs) {
      const uint32_t unit = (a < 0 ? 0u : bits(w[a])) | (b < 0 ? 0u : static_cast<uint32_t>(bits(w[b])) << 16);
      std::memcpy(to + k * step, &unit, 4);
    } else {
      to[k * step] = a < 0 ? 0.0f : static_cast<float>(w[a]);
    }
  }
}

}  // namespace

/// src = [group][o][i][taps] (forward; the gradient reads it as [group][i][o][taps])
/// dst = [group][vectors / v][phase][unit][v][lane], v = vectors of a tile
void ConvolutionTables::pack_weights(const ConvolutionGeometry& g, bool forward, const TrainingIsa& isa, const void* w,
                                     bool bf16, float* dst, ThreadPool& pool) const {
  const DirectConvolution& c = conv;
  const int64_t taps = g.taps(), lanes = isa.lanes;
  const int64_t all_vectors = (c.channels_out + lanes - 1) / lanes;
  const int64_t out_stride = forward ? g.data_channels * taps : taps;
  const int64_t tiles = (all_vectors + c.vectors - 1) / c.vectors;
  constexpr int64_t slice = 64;
  const int64_t slices = (c.units + slice - 1) / slice;
  pool.parallel_for(g.groups * tiles * slices, 4, [&](int64_t begin, int64_t end, int) {
    for (int64_t u = begin; u < end; ++u) {
      const int64_t group = u / (tiles * slices), tile = u / slices % tiles, first = u % slices * slice;
      const int64_t v0 = tile * c.vectors, nv = std::min(c.vectors, all_vectors - v0);
      const int64_t last = std::min(c.units, first + slice);
      float* to = dst + (group * all_vectors + v0) * c.units * lanes;
      const int64_t from = group * g.data_channels * g.result_channels * taps;
      for (int64_t lane = 0; lane < nv * lanes; ++lane) {
        const int64_t o = v0 * lanes + lane;
        if (o >= c.channels_out) {
          for (int64_t k = first; k < last; ++k) to[k * nv * lanes + lane] = 0;
          continue;
        }
        const int64_t at = from + o * out_stride;
        if (bf16)
          copy_lane(*this, static_cast<const bfloat16*>(w) + at, to + lane, first, last, nv * lanes);
        else
          copy_lane(*this, static_cast<const float*>(w) + at, to + lane, first, last, nv * lanes);
      }
    }
  });
}

}  // namespace hone::cpu::training
