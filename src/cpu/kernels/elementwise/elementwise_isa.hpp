// Elementwise programs on tiles in L1, for ISA files only.
#pragma once
#include "cpu/kernels/elementwise/elementwise_view.hpp"
#include "cpu/kernels/epilogue_isa.hpp"

namespace hone::cpu::HONE_NS {

static void run_extra(const SlotStep& s, float* dst, const float* a, const float* b, int64_t n) {
  switch (ExtraOp(s.op)) {
    case ExtraOp::squared_difference:
      for (int64_t i = 0; i < n; i += lanes) {
        const vf d = load(a + i) - load(b + i);
        store(dst + i, d * d);
      }
      break;
    case ExtraOp::log:
      for (int64_t i = 0; i < n; i += lanes) store(dst + i, natural_log(load(a + i)));
      break;
    case ExtraOp::erf:
      for (int64_t i = 0; i < n; i += lanes) store(dst + i, error_function(load(a + i)));
      break;
    case ExtraOp::floor:
      for (int64_t i = 0; i < n; i += lanes) store(dst + i, floor_of(load(a + i)));
      break;
    case ExtraOp::ceiling:
      for (int64_t i = 0; i < n; i += lanes) store(dst + i, -floor_of(-load(a + i)));
      break;
  }
}

HONE_INLINE void load_element_rows(const ElementOperand& o, int64_t offset, float* slot, int64_t ld, int rows,
                                   int cols) {
  for (int r = 0; r < rows; ++r) {
    const int64_t at = offset + r * o.row_stride;
    float* row = slot + r * ld;
    if (o.col_stride == 0) {
      float x = load_one(o.type, o.data, at);
      if (o.quantized) x = (x - o.zero) * o.scale;
      for (int j = 0; j < cols; j += lanes) store(row + j, set1(x));
    } else {
      for (int j = 0; j < cols; j += lanes) {
        const vf v = load_raw(o.type, o.data, at + j);
        store(row + j, o.quantized ? (v - o.zero) * o.scale : v);
      }
    }
  }
}

HONE_INLINE vf load_real(const ElementOperand& o, int64_t at) {
  if (o.type == Num::f32) return load_raw(Num::f32, o.data, at);
  const vf v = load_raw(o.type, o.data, at);
  return o.quantized ? (v - o.zero) * o.scale : v;
}
template <bool SCALES, bool SHIFTS, Num IN, Num OUT>
static void direct_rows(const ElementwiseView& e, const int64_t* offsets, int64_t out_offset, int rows, int cols) {
  const ElementOperand x = e.operands[e.direct_x];
  const ElementOperand a = SCALES ? e.operands[e.direct_a] : x, b = SHIFTS ? e.operands[e.direct_b] : x;
  int64_t x_at = offsets[e.direct_x], a_at = SCALES ? offsets[e.direct_a] : 0, b_at = SHIFTS ? offsets[e.direct_b] : 0;
  const vf low = set1(e.direct_low), high = set1(e.direct_high);
  const int64_t out_stride = e.out_row_stride;
  EpilogueView out;
  out.out = e.out;
  out.out_inv_scale = e.out_inv_scale;
  out.out_zero = e.out_zero;
  out.out_low = e.out_low;
  out.out_high = e.out_high;
  int64_t at = out_offset;
  for (int r = 0; r < rows; ++r, x_at += x.row_stride, a_at += a.row_stride, b_at += b.row_stride, at += out_stride) {
    for (int j = 0; j < cols; j += lanes) {
      vf v = load_raw(IN, x.data, x_at + j);
      if constexpr (IN == Num::u8) v = (v - x.zero) * x.scale;
      if constexpr (SCALES) v = v * load_real(a, a_at + j);
      if constexpr (SHIFTS) v = v + load_real(b, b_at + j);
      store_out<OUT>(out, at + j, clamp_to(v, low, high), cols - j < lanes ? cols - j : lanes);
    }
  }
}
template <bool SCALES, bool SHIFTS, Num IN>
static void direct_from(const ElementwiseView& e, const int64_t* offsets, int64_t out_offset, int rows, int cols) {
  auto* run = only_bf16                 ? direct_rows<SCALES, SHIFTS, IN, Num::bf16>
              : e.out_type == Num::f32  ? direct_rows<SCALES, SHIFTS, IN, Num::f32>
              : e.out_type == Num::bf16 ? direct_rows<SCALES, SHIFTS, IN, Num::bf16>
                                        : direct_rows<SCALES, SHIFTS, IN, Num::u8>;
  run(e, offsets, out_offset, rows, cols);
}
template <bool SCALES, bool SHIFTS>
static void direct_tile(const ElementwiseView& e, const int64_t* offsets, int64_t out_offset, int rows, int cols) {
  const Num in = e.operands[e.direct_x].type;
  auto* run = in == Num::f32    ? direct_from<SCALES, SHIFTS, Num::f32>
              : in == Num::bf16 ? direct_from<SCALES, SHIFTS, Num::bf16>
                                : direct_from<SCALES, SHIFTS, Num::u8>;
  run(e, offsets, out_offset, rows, cols);
}

// Bytes times a factor for each column, as squeeze-and-excite has it, to bytes: like integer sums with a scale and an
// offset for each column, which all rows share.
static void scaled_bytes(const ElementwiseView& e, const int64_t* offsets, int64_t out_offset, int rows, int cols) {
  constexpr int most = 1024;
  alignas(64) float scale[most], offset[most];
  const ElementOperand x = e.operands[e.direct_x], a = e.operands[e.direct_a];
  const bool is_signed = e.out_type == Num::s8;
  const int shift = is_signed ? 128 : 0;
  RequantView view{};
  view.zero = int32_t(e.out_zero) + shift;
  view.low = int32_t(e.out_low) + shift;
  view.high = int32_t(e.out_high) + shift;
  view.flip = is_signed ? 0x80 : 0;
  const Requantizer<Between::nothing> q(view);
  const vf unit = set1(x.scale * e.out_inv_scale), zero = set1(-x.zero);
  for (int first = 0; first < cols; first += most) {
    const int n = cols - first < most ? cols - first : most;
    for (int j = 0; j < n; j += lanes) {
      const vf factor = load_real(a, offsets[e.direct_a] + first + j) * unit;
      store(scale + j, factor);
      store(offset + j, factor * zero);
    }
    const auto* from = static_cast<const uint8_t*>(x.data) + offsets[e.direct_x] + first;
    auto* to = static_cast<uint8_t*>(e.out) + out_offset + first;
    for (int r = 0; r < rows; ++r, from += x.row_stride, to += e.out_row_stride) {
      const auto level = [&](int j) __attribute__((always_inline)) {
        return q.level(load_u8(from + j), load(scale + j), load(offset + j));
      };
      int j = 0;
#if HONE_LANES == 16
      for (; j < n; j += 64) {
        const int left = n - j;
        const vi b = left > 16 ? level(j + 16) : vi{}, c = left > 32 ? level(j + 32) : vi{},
                 d = left > 48 ? level(j + 48) : vi{};
        store_first_bytes(to + j, q.pack(level(j), b, c, d), left);
      }
#else
      for (; j < n; j += lanes) store_bytes(to + j, q.bytes(level(j)), n - j < lanes ? n - j : lanes);
#endif
    }
  }
}
static bool scales_bytes(const ElementwiseView& e) {
  constexpr float infinity = __builtin_inff();
  return e.direct_a >= 0 && e.direct_b < 0 && e.direct_low == -infinity && e.direct_high == infinity &&
         (e.out_type == Num::u8 || e.out_type == Num::s8) && e.operands[e.direct_x].type == Num::u8 &&
         e.operands[e.direct_a].row_stride == 0;
}

void elementwise_tile(const ElementwiseView& e, const int64_t* offsets, int64_t out_offset, int rows, int cols) {
  if (e.direct_x >= 0) {
    if (!only_bf16 && scales_bytes(e)) return scaled_bytes(e, offsets, out_offset, rows, cols);
    const bool scales = e.direct_a >= 0, shifts = e.direct_b >= 0;
    return scales && shifts ? direct_tile<true, true>(e, offsets, out_offset, rows, cols)
           : scales         ? direct_tile<true, false>(e, offsets, out_offset, rows, cols)
           : shifts         ? direct_tile<false, true>(e, offsets, out_offset, rows, cols)
                            : direct_tile<false, false>(e, offsets, out_offset, rows, cols);
  }
  alignas(64) float buffer[max_slots][element_tile];
  const int64_t ld = (cols + lanes - 1) / lanes * lanes;
  // A slot is its buffer, or an operand that can be read where it lies.
  const float* source[max_slots];
  int64_t stride[max_slots];
  bool stored = false;
  for (int i = 0; i < e.num_steps; ++i) {
    const SlotStep& s = e.steps[i];
    if (s.operand >= 0) {
      const ElementOperand& o = e.operands[s.operand];
      if (o.type == Num::f32 && o.col_stride == 1) {
        source[s.dst] = static_cast<const float*>(o.data) + offsets[s.operand];
        stride[s.dst] = o.row_stride;
      } else {
        load_element_rows(o, offsets[s.operand], buffer[s.dst], ld, rows, cols);
        source[s.dst] = buffer[s.dst];
        stride[s.dst] = ld;
      }
      continue;
    }
    float* dst = buffer[s.dst];
    int64_t dst_ld = ld;
    if (i + 1 == e.num_steps && e.out_type == Num::f32 && cols % lanes == 0) {
      dst = static_cast<float*>(e.out) + out_offset;
      dst_ld = e.out_row_stride;
      stored = true;
    }
    const float *a = source[s.a], *b = s.b >= 0 ? source[s.b] : nullptr;
    int64_t a_ld = stride[s.a], b_ld = s.b >= 0 ? stride[s.b] : 0, n = cols;
    int times = rows;
    if (a_ld == ld && dst_ld == ld && (!b || b_ld == ld)) {
      n = ld * rows;
      times = 1;
    }
    for (int r = 0; r < times; ++r) {
      if (s.op >= uint8_t(ExtraOp::squared_difference)) {
        run_extra(s, dst + r * dst_ld, a + r * a_ld, b ? b + r * b_ld : nullptr, n);
      } else {
        run_step(s, dst + r * dst_ld, a + r * a_ld, b ? b + r * b_ld : nullptr, n);
      }
    }
    source[s.dst] = dst;
    stride[s.dst] = dst_ld;
  }
  if (stored) return;
  EpilogueView out;
  out.out = e.out;
  out.out_type = e.out_type;
  out.out_inv_scale = e.out_inv_scale;
  out.out_zero = e.out_zero;
  out.out_low = e.out_low;
  out.out_high = e.out_high;
  for (int r = 0; r < rows; ++r) {
    const float* row = source[e.result_slot] + r * stride[e.result_slot];
    const int64_t at = out_offset + r * e.out_row_stride;
    for (int j = 0; j < cols; j += lanes) store_any(out, at + j, load(row + j), cols - j < lanes ? cols - j : lanes);
  }
}

typedef uint8_t Bytes16 __attribute__((vector_size(16)));
typedef uint8_t LooseBytes16 __attribute__((vector_size(16), aligned(1), may_alias));

void interleave_planes(const uint8_t* a, const uint8_t* b, const uint8_t* c, uint8_t* to, int64_t n) {
  const auto read = [](const uint8_t* p) { return Bytes16(*reinterpret_cast<const LooseBytes16*>(p)); };
  const auto write = [](uint8_t* p, Bytes16 v) { *reinterpret_cast<LooseBytes16*>(p) = v; };
  int64_t i = 0;
  for (; i + 16 <= n; i += 16, to += 48) {
    const Bytes16 x = read(a + i), y = read(b + i), z = read(c + i);
    // Places of x and y, then z between them.
    const Bytes16 first = __builtin_shufflevector(x, y, 0, 16, 0, 1, 17, 0, 2, 18, 0, 3, 19, 0, 4, 20, 0, 5);
    const Bytes16 second = __builtin_shufflevector(x, y, 21, 0, 6, 22, 0, 7, 23, 0, 8, 24, 0, 9, 25, 0, 10, 26);
    const Bytes16 third = __builtin_shufflevector(x, y, 0, 11, 27, 0, 12, 28, 0, 13, 29, 0, 14, 30, 0, 15, 31, 0);
    write(to, __builtin_shufflevector(first, z, 0, 1, 16, 3, 4, 17, 6, 7, 18, 9, 10, 19, 12, 13, 20, 15));
    write(to + 16, __builtin_shufflevector(second, z, 0, 21, 2, 3, 22, 5, 6, 23, 8, 9, 24, 11, 12, 25, 14, 15));
    write(to + 32, __builtin_shufflevector(third, z, 26, 1, 2, 27, 4, 5, 28, 7, 8, 29, 10, 11, 30, 13, 14, 31));
  }
  for (; i < n; ++i, to += 3) {
    to[0] = a[i];
    to[1] = b[i];
    to[2] = c[i];
  }
}

}  // namespace hone::cpu::HONE_NS
