// Rows of CachedAttention and CacheUpdate.
//
// A part of the work is the rows of the heads that share keys and values: scores of all tokens a block of keys at a
// time, so that keys come from memory once, their softmax, then values in the same way. A cache of 8 bits is half the
// memory to read of bf16, and reading is what a step of one token costs. So there are no rows on AMX tiles: with one
// token 15 of a tile's 16 rows would be idle, and keys are read once either way.
#include "ops/cached_attention.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <utility>

#include "cpu/kernels/attention/attention_view.hpp"
#include "cpu/kernels/attention/cached_attention_view.hpp"
#include "cpu/kernels/epilogue.hpp"
#include "cpu/kernels/isa_choice.hpp"
#include "cpu/kernels/scratch.hpp"

namespace hone::cpu {
namespace {

constexpr int64_t most_rows = 16;     // of the query; longer ones are left to matrix products
constexpr int64_t block_tokens = 64;  // keys or values that stay in L1 while all rows meet them
constexpr int64_t several_rows = 3;   // for which keys are widened once

// The number for sequence b of an i32 or i64 tensor of one number or of one each.
struct Counts {
  bool wide, one;
  explicit Counts(const TensorDesc& d) : wide(d.type == ElementType::i64), one(d.size() == 1) {}
  int64_t at(const void* data, int64_t b) const {
    const int64_t i = one ? 0 : b;
    return wide ? static_cast<const int64_t*>(data)[i] : static_cast<const int32_t*>(data)[i];
  }
};

const char* why_not_plain(const KernelQuery& q) {
  for (const auto* list : {&q.inputs, &q.outputs}) {
    for (const TensorDesc& d : *list) {
      if (d.present && d.layout != Layout::plain) return "takes the plain layout only";
      if (d.present && d.quantization) return "takes no quantized tensors";
    }
  }
  return q.epilogue.empty() ? nullptr : "takes no epilogue";
}

struct Isa {
  const char* suffix;
  const char* needs;
  bool Features::*has;
  double cost;  // relative
  decltype(avx2::cached_words)* words;
  decltype(avx2::cached_widen)* wide;
  decltype(avx2::cached_dots)* dots;
  decltype(avx2::cached_scale)* scale;
  decltype(avx2::cached_mix)* mix;
  decltype(avx2::attention_softmax)* softmax;
  decltype(avx2::attention_result)* result;
  decltype(avx2::attention_widen)* widen;
};
#define HONE_CACHED_FNS(NS, SHARED)                                                                                 \
  NS::cached_words, NS::cached_widen, NS::cached_dots, NS::cached_scale, NS::cached_mix, SHARED::attention_softmax, \
      SHARED::attention_result, SHARED::attention_widen
#if defined(__x86_64__)
const Isa isas[] = {{"avx512vnni", "VNNI", &Features::avx512_vnni, 1.0, HONE_CACHED_FNS(avx512vnni, avx512)},
                    {"avx512", "AVX-512", &Features::avx512, 1.1, HONE_CACHED_FNS(avx512, avx512)},
                    {"avx2", "AVX2", &Features::avx2, 1.5, HONE_CACHED_FNS(avx2, avx2)}};
#elif defined(__aarch64__)
const Isa isas[] = {{"neon", "NEON", &Features::neon, 1.0, HONE_CACHED_FNS(neon, neon)}};
#endif
#undef HONE_CACHED_FNS
constexpr size_t num_isas = sizeof(isas) / sizeof(Isa);

class CachedAttentionKernel : public PreparedKernel {
 public:
  CachedAttentionKernel(const KernelQuery& q, const Isa& isa)
      : isa_(isa), counts_(q.inputs[5]), type_(*num_of(q.inputs[0].type)), threads_(q.threads) {
    const auto op = q.attrs<CachedAttention>();
    const Shape &s = q.inputs[0].shape, &k = q.inputs[1].shape;
    batch_ = s[0];
    length_ = s[2];
    features_ = s[3];
    groups_ = k[1];
    room_ = k[2];
    shared_ = s[1] / groups_;
    width_ = q.inputs[3].shape[3];
    causal_ = op.causal;
    scale_ = op.scale != 0 ? op.scale : 1 / std::sqrt(double(features_));
    // Sums of products with bytes stay within 32 bits.
    largest_ = float(std::min(32767.0, std::floor(0x7fffffff / (128.0 * double(features_)))));
    const int64_t pairs = batch_ * groups_;
    // Heads that share keys are parted only where there would be too few parts.
    parts_ = std::min(shared_, (threads_ + pairs - 1) / std::max<int64_t>(1, pairs));
    rows_ = (shared_ + parts_ - 1) / parts_ * length_;
    words_ = round_up(features_, 64);
    terms_ = type_ == Num::f32 ? 2 : 1;
    columns_ = round_up(width_, 64);
    padded_ = round_up(room_, 16) + 16;
    bytes_ = cut(nullptr).bytes;
  }
  size_t scratch_bytes() const override { return size_t(bytes_ * threads_); }

  void run(const KernelArgs& a) noexcept override {
    for (int64_t b = 0; b < batch_; ++b) {
      const int64_t tokens = counts_.at(a.inputs[5], b);
      if (tokens >= 1 && keys_of(tokens) <= room_) continue;
      if (a.error) a.error->set("[CachedAttention] the number of tokens does not fit the cache");
      return;
    }
    const int64_t items = batch_ * groups_ * parts_;
    a.pool.parallel_for(threads_, 1, [&](int64_t from, int64_t to, int) {
      for (int64_t t = from; t < to; ++t) {
        const Scratch s = cut(static_cast<uint8_t*>(a.scratch) + t * bytes_);
        for (int64_t i = part_begin(items, t, threads_); i < part_begin(items, t + 1, threads_); ++i)
          run_part(a, s, i / parts_, i % parts_);
      }
    });
  }

 private:
  struct Scratch {
    float *row, *factors, *totals, *scores, *sums;
    int16_t *words, *keys;  // queries, and a block of keys
    int64_t bytes;
  };
  Scratch cut(uint8_t* memory) const {
    Cutter from{memory};
    Scratch s{};
    s.row = from.take<float>(words_);
    s.factors = from.take<float>(rows_);
    s.totals = from.take<float>(rows_);
    s.scores = from.take<float>(rows_ * padded_);
    s.sums = from.take<float>(rows_ * columns_);
    s.words = from.take<int16_t>(rows_ * terms_ * words_);
    s.keys = from.take<int16_t>(block_tokens * features_ + 128);  // whole vectors behind the last one
    s.bytes = from.used;
    return s;
  }

  // How many keys any row sees.
  int64_t keys_of(int64_t tokens) const { return causal_ ? std::max(tokens, length_) : tokens; }

  void run_part(const KernelArgs& a, const Scratch& s, int64_t pair, int64_t part) const {
    const int64_t before = std::max<int64_t>(counts_.at(a.inputs[5], pair / groups_) - length_, 0),
                  tokens = keys_of(counts_.at(a.inputs[5], pair / groups_));
    const int64_t first = part_begin(shared_, part, parts_), heads = part_begin(shared_, part + 1, parts_) - first;
    const int64_t rows = heads * length_, source = int64_t(num_bytes(type_));
    const int64_t row0 = (pair * shared_ + first) * length_;  // of query and result
    for (int64_t r = 0; r < rows; ++r) {
      isa_.widen(static_cast<const uint8_t*>(a.inputs[0]) + (row0 + r) * features_ * source, type_, features_, s.row);
      float most = 0, odd = 0;  // odd: not a number where one of them is none, or infinite
      for (int64_t e = 0; e < features_; ++e) {
        most = std::max(most, std::fabs(s.row[e]));
        odd += s.row[e] * 0;
      }
      const bool good = most > 0 && odd == 0;
      int16_t* words = s.words + r * terms_ * words_;
      const int64_t n = good ? features_ : 0;
      isa_.words(s.row, n, words_, good ? largest_ / most : 0, words, terms_ > 1 ? s.row : nullptr);
      if (terms_ > 1) isa_.words(s.row, n, words_, 2 * largest_, words + words_, nullptr);
      s.factors[r] = good ? float(double(most) / double(largest_) * scale_) : odd;
    }
    const auto* keys = static_cast<const int8_t*>(a.inputs[1]) + pair * room_ * features_;
    const auto* key_scales = static_cast<const float*>(a.inputs[2]);
    if (key_scales) key_scales += pair * room_;
    const bool wide = rows * terms_ >= several_rows;
    for (int64_t t = 0; t < tokens; t += block_tokens) {
      const int64_t n = std::min(block_tokens, tokens - t);
      const int8_t* block = keys + t * features_;
      if (wide) isa_.wide(block, n * features_, s.keys);
      CachedDots d{};
      d.keys = wide ? static_cast<const void*>(s.keys) : block;
      d.wide = wide;
      d.scales = key_scales ? key_scales + t : nullptr;
      d.count = n;
      d.features = features_;
      for (int64_t i = 0; i < rows * terms_; ++i) {
        const int64_t r = i / terms_;
        d.adds = i % terms_ != 0;
        d.row = s.words + i * words_;
        d.factor = d.adds ? s.factors[r] / (2 * largest_) : s.factors[r];
        d.to = s.scores + r * padded_ + t;
        isa_.dots(d);
      }
    }
    for (int64_t h = 0; h < heads; ++h) {
      AttentionRows w{};
      w.scores = s.scores + h * length_ * padded_;
      w.block = w.last_width = padded_;
      w.rows = int(length_);
      w.keys = tokens;
      w.padded = round_up(tokens, 16);
      w.scale = 1;
      w.causal = causal_;
      w.seen = before + 1;
      w.weights = w.scores;
      w.ld = padded_;
      w.factors = s.totals + h * length_;
      isa_.softmax(w);
    }
    std::memset(s.sums, 0, size_t(rows * columns_) * 4);
    const auto* values = static_cast<const int8_t*>(a.inputs[3]) + pair * room_ * width_;
    const auto* value_scales = static_cast<const float*>(a.inputs[4]);
    for (int64_t r = 0; value_scales && r < rows; ++r)
      isa_.scale(s.scores + r * padded_, value_scales + pair * room_, tokens);
    for (int64_t t = 0; t < tokens; t += block_tokens) {
      isa_.mix({s.scores + t, padded_, values + t * width_, std::min(block_tokens, tokens - t), width_, s.sums,
                columns_, int(rows)});
    }
    AttentionResult y{};
    y.tile = s.sums;
    y.ld_tile = columns_;
    y.rows = int(rows);
    y.columns = int(width_);
    y.factors = s.totals;
    y.out = static_cast<uint8_t*>(a.outputs[0]) + row0 * width_ * source;
    y.type = type_;
    y.ld = width_;
    isa_.result(y);
  }

  const Isa& isa_;
  Counts counts_;
  Num type_;
  int64_t threads_, batch_, length_, features_, groups_, room_, shared_, width_, parts_, rows_, words_, terms_,
      columns_, padded_, bytes_;
  bool causal_;
  double scale_;
  float largest_;
};

Support supports_attention(const KernelQuery& q, const Isa& isa) {
  if (!(features().*isa.has)) return Support::no(std::string("the CPU has no ") + isa.needs);
  if (const char* no = why_not_plain(q)) return Support::no(no);
  const ElementType e = q.inputs[0].type;
  if (e != ElementType::f32 && e != ElementType::bf16)
    return Support::no(std::string("the query is ") + name_of(e) + ", not f32 or bf16");
  if (q.outputs[0].type != e) return Support::no("the result has another type than the query");
  const Shape& s = q.inputs[0].shape;
  if (s[2] > most_rows) return Support::no("more than 16 tokens at a time are left to matrix products");
  if (q.inputs[0].size() == 0 || q.inputs[3].size() == 0) return Support::no("there is nothing to compute");
  if (s[3] > 4096 || q.inputs[3].shape[3] > 4096) return Support::no("more than 4096 features");
  return Support::yes();
}

template <size_t I>
struct AttentionRow {
  static Support supports(const KernelQuery& q) { return supports_attention(q, isas[I]); }
  static KernelPlan plan(const KernelQuery& q) {
    KernelPlan p;
    p.cost = 1 + isas[I].cost * double(q.inputs[1].size() + q.inputs[3].size()) / 30e3;
    return p;
  }
  static std::unique_ptr<PreparedKernel> prepare(const KernelQuery& q) {
    return std::make_unique<CachedAttentionKernel>(q, isas[I]);
  }
};

class CacheUpdateKernel : public PreparedKernel {
 public:
  explicit CacheUpdateKernel(const KernelQuery& q) : counts_(q.inputs[3]), type_(q.inputs[2].type) {
    const Shape& s = q.inputs[0].shape;
    batch_ = s[0];
    heads_ = s[1];
    room_ = s[2];
    features_ = s[3];
    length_ = q.inputs[2].shape[2];
    for (size_t o = 0; o < 2; ++o) bytes_[o] = q.outputs[o].present ? q.outputs[o].bytes() : 0;
  }
  void run(const KernelArgs& a) noexcept override {
    for (int64_t b = 0; b < batch_; ++b) {
      const int64_t first = counts_.at(a.inputs[3], b);
      if (first >= 0 && first <= room_ - length_) continue;
      if (a.error) a.error->set("[CacheUpdate] the tokens do not fit into the cache");
      return;
    }
    for (size_t o = 0; o < 2; ++o) {
      if (bytes_[o] > 0 && a.outputs[o] != a.inputs[o]) std::memcpy(a.outputs[o], a.inputs[o], bytes_[o]);
    }
    const int64_t rows = batch_ * heads_ * length_;
    a.pool.parallel_for(rows, 16, [&](int64_t begin, int64_t end, int) {
      for (int64_t r = begin; r < end; ++r) type_ == ElementType::f32 ? put<float>(a, r) : put<bfloat16>(a, r);
    });
  }

 private:
  template <class T>
  void put(const KernelArgs& a, int64_t r) const {
    const int64_t head = r / length_, at = head * room_ + counts_.at(a.inputs[3], head / heads_) + r % length_;
    const T* from = static_cast<const T*>(a.inputs[2]) + r * features_;
    float most = 0;
    for (int64_t k = 0; k < features_; ++k) most = std::max(most, std::fabs(float(from[k])));
    const float inverse = most > 0 ? 127.0f / most : 0.0f;
    if (a.outputs[1]) static_cast<float*>(a.outputs[1])[at] = most / 127.0f;
    if (!a.outputs[0]) return;
    auto* to = static_cast<int8_t*>(a.outputs[0]) + at * features_;
    for (int64_t k = 0; k < features_; ++k) to[k] = int8_t(std::lrint(float(from[k]) * inverse));
  }

  Counts counts_;
  ElementType type_;
  int64_t batch_, heads_, room_, features_, length_;
  size_t bytes_[2];
};

struct UpdateRow {
  static Support supports(const KernelQuery& q) {
    if (const char* no = why_not_plain(q)) return Support::no(no);
    const ElementType e = q.inputs[2].type;
    if (e != ElementType::f32 && e != ElementType::bf16)
      return Support::no(std::string("the tokens are ") + name_of(e) + ", not f32 or bf16");
    return Support::yes();
  }
  static KernelPlan plan(const KernelQuery& q) {
    KernelPlan p;
    p.in_place_input = 0;
    p.in_place = {{1u, 1u}};
    p.cost = 1 + double(q.inputs[2].size()) / 1e3;
    return p;
  }
  static std::unique_ptr<PreparedKernel> prepare(const KernelQuery& q) {
    return std::make_unique<CacheUpdateKernel>(q);
  }
};

template <size_t... I>
RowList make_rows(std::index_sequence<I...>) {
  RowList rows;
  (rows.add<AttentionRow<I>>(std::string("cached_attention_int8__").append(isas[I].suffix), "CachedAttention"), ...);
  rows.add<UpdateRow>("cache_update_int8", "CacheUpdate");
  return rows;
}

}  // namespace

KernelList cached_attention_kernels() {
  static const RowList rows = make_rows(std::make_index_sequence<num_isas>());
  return rows.list();
}

}  // namespace hone::cpu
